"""`stop`: asks containers to stop, and kills those that have not stopped in time."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Risk, Stop

WORDING = changes.Wording(done="stopped", unchanged="was not running")

command = Command(
    name="stop",
    summary="stop containers",
    examples=("stop web", "stop web --timeout 30", "stop 'batch-*' --host 'prod-*'"),
    plan=changes.make_plan(
        "stop", lambda context, ref: Stop(engine=ref.engine, target=ref, timeout=context.args["timeout"])
    ),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="stopping",
    verbs=(Stop.verb,),
    args=(*changes.TARGET_ARGS, changes.TIMEOUT),
)
