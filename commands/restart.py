"""`restart`: stops and starts containers again."""

from __future__ import annotations

from datetime import timedelta

from commands import _changes
from commands.spec import Command
from core.model.actions import Restart, Risk

SAID = _changes.Said(command="restart", done="restarted", already="was left as it is")

command = Command(
    name="restart",
    summary="restart containers",
    examples=("restart web", "restart web api --timeout 30", "restart --label app=shop --host 'prod-*'"),
    plan=_changes.planning(
        "restart", lambda context, ref: Restart(engine=ref.engine, target=ref, timeout=context.args["timeout"])
    ),
    render=_changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="restarting",
    verbs=(Restart.verb,),
    args=(*_changes.WHICH, _changes.TIMEOUT),
    timeout=timedelta(seconds=_changes.LONGEST_TIMEOUT + 60),
)
