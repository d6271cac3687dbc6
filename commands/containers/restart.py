"""`restart`: stops and starts containers again."""

from __future__ import annotations

from datetime import timedelta

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Restart, Risk

SAID = changes.Said(command="restart", done="restarted", already="was left as it is")

command = Command(
    name="restart",
    summary="restart containers",
    examples=("restart web", "restart web api --timeout 30", "restart --label app=shop --host 'prod-*'"),
    plan=changes.planning(
        "restart", lambda context, ref: Restart(engine=ref.engine, target=ref, timeout=context.args["timeout"])
    ),
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="restarting",
    verbs=(Restart.verb,),
    args=(*changes.WHICH, changes.TIMEOUT),
    timeout=timedelta(seconds=changes.LONGEST_TIMEOUT + 60),
)
