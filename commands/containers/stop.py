"""`stop`: asks containers to end, and kills those that have not after a while."""

from __future__ import annotations

from datetime import timedelta

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Risk, Stop

SAID = changes.Said(command="stop", done="stopped", already="was not running")

command = Command(
    name="stop",
    summary="stop containers",
    examples=("stop web", "stop web --timeout 30", "stop 'batch-*' --host 'prod-*'"),
    plan=changes.planning(
        "stop", lambda context, ref: Stop(engine=ref.engine, target=ref, timeout=context.args["timeout"])
    ),
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="stopping",
    verbs=(Stop.verb,),
    args=(*changes.WHICH, changes.TIMEOUT),
    timeout=timedelta(seconds=changes.LONGEST_TIMEOUT + 60),
)
