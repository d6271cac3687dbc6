"""`frozen`: shows whether all changes are frozen, by whom, since when, until when and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Command, Context, Result
from core.model.actions import Action
from core.model.freezes import ShowFreeze
from core.model.replies import Button, Ending, Reply, Text, Tone


async def plan(_: Context) -> Sequence[Action[Any]]:
    return (ShowFreeze(),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    if result.value is None:
        return Reply(blocks=(Text(text="Changes are not frozen."),), ending=Ending.OK)
    lift = Button(label="Unfreeze", line="unfreeze")
    return Reply(blocks=(Text(text=result.value.sentence(), tone=Tone.WARN),), buttons=(lift,))


command = Command(
    name="frozen",
    summary="show whether changes are frozen, and by whom",
    examples=("frozen", "frozen --share"),
    plan=plan,
    render=render,
    verbs=(ShowFreeze.verb,),
)
