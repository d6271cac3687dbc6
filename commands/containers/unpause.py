"""`unpause`: lets paused containers go on."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Risk, Unpause

SAID = changes.Said(command="unpause", done="unpaused", already="was not paused")

command = Command(
    name="unpause",
    summary="let paused containers go on",
    examples=("unpause web", "unpause --label app=shop"),
    plan=changes.planning("unpause", lambda _, ref: Unpause(engine=ref.engine, target=ref)),
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="unpausing",
    verbs=(Unpause.verb,),
    args=changes.WHICH,
)
