"""`unpause`: resumes paused containers."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from core.model.actions import Risk, Unpause

WORDING = changes.Wording(done="unpaused", unchanged="was not paused")

command = Command(
    name="unpause",
    summary="resume paused containers",
    examples=("unpause web", "unpause --label app=shop"),
    plan=changes.make_plan("unpause", lambda _, ref: Unpause(engine=ref.engine, target=ref)),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="unpausing",
    starts=True,
    verbs=(Unpause.verb,),
    args=changes.TARGET_ARGS,
)
