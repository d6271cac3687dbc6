"""`start`: starts containers that are not running."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Risk, Start

WORDING = changes.Wording(done="started", unchanged="was already running", advice=changes.PORT_ADVICE)

command = Command(
    name="start",
    summary="start containers",
    examples=("start web", "start web api", "start --label app=shop"),
    plan=changes.make_plan("start", lambda _, ref: Start(engine=ref.engine, target=ref)),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="starting",
    starts=True,
    verbs=(Start.verb,),
    args=changes.TARGET_ARGS,
)
