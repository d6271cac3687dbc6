"""`pause`: freezes all processes of containers."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Pause, Risk

WORDING = changes.Wording(done="paused", unchanged="was already paused")

command = Command(
    name="pause",
    summary="suspend all processes of containers",
    examples=("pause web", "pause --label app=shop"),
    plan=changes.make_plan("pause", lambda _, ref: Pause(engine=ref.engine, target=ref)),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="pausing",
    verbs=(Pause.verb,),
    args=changes.TARGET_ARGS,
)
