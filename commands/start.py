"""`start`: starts containers that are not running."""

from __future__ import annotations

from commands import _changes
from commands.spec import Command
from core.model.actions import Risk, Start

SAID = _changes.Said(command="start", done="started", already="was already running")

command = Command(
    name="start",
    summary="start containers",
    examples=("start web", "start web api", "start --label app=shop"),
    plan=_changes.planning("start", lambda _, ref: Start(engine=ref.engine, target=ref)),
    render=_changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="starting",
    verbs=(Start.verb,),
    args=_changes.WHICH,
)
