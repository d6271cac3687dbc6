"""`stop`: asks containers to end, and kills those that have not after a while."""

from __future__ import annotations

from datetime import timedelta

from commands import _changes
from commands.spec import Command
from core.model.actions import Risk, Stop

SAID = _changes.Said(command="stop", done="stopped", already="was not running")

command = Command(
    name="stop",
    summary="stop containers",
    examples=("stop web", "stop web --timeout 30", "stop 'batch-*' --host 'prod-*'"),
    plan=_changes.planning(
        "stop", lambda context, ref: Stop(engine=ref.engine, target=ref, timeout=context.args["timeout"])
    ),
    render=_changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="stopping",
    verbs=(Stop.verb,),
    args=(*_changes.WHICH, _changes.TIMEOUT),
    timeout=timedelta(seconds=_changes.LONGEST_TIMEOUT + 60),
)
