"""`pause`: freezes all processes of containers."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Pause, Risk

SAID = changes.Said(command="pause", done="paused", already="was already paused")

command = Command(
    name="pause",
    summary="freeze containers",
    examples=("pause web", "pause --label app=shop"),
    plan=changes.planning("pause", lambda _, ref: Pause(engine=ref.engine, target=ref)),
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="pausing",
    verbs=(Pause.verb,),
    args=changes.WHICH,
)
