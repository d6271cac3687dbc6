"""`freeze`: refuses every change on every engine, for everybody, until it is lifted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.freezes import MAX_FREEZE, MAX_REASON, Freeze, SetFreeze
from core.model.replies import Button, Reply, Text, Tone


async def plan(context: Context) -> Sequence[Action[Any]]:
    length, reason = context.args["for"], context.args["reason"] or ""
    if length is not None and not timedelta(seconds=1) <= length <= MAX_FREEZE:
        raise errors.BadUsage(
            f"A freeze of {formatting.exact_span(length)} is not possible.",
            hint="Choose a time of at most 30d, such as --for 2h. Without --for, the freeze lasts until `unfreeze`.",
        )
    if len(reason) > MAX_REASON:
        raise errors.BadUsage(
            f"The reason has {len(reason):,} characters; the maximum is {MAX_REASON}.", hint="Write a shorter text."
        )
    seconds = 0.0 if length is None else length.total_seconds()
    return (SetFreeze(by=context.who, seconds=seconds, reason=reason),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    freeze: Freeze = result.value
    text = f"{freeze.sentence()} Quarterdeck refuses every change on every engine, and stops changes that still run."
    return Reply(
        blocks=(Text(text=text, tone=Tone.WARN),), buttons=(Button(label="Unfreeze", line="unfreeze"),), everyone=True
    )


command = Command(
    name="freeze",
    summary="refuse all changes on all engines",
    examples=("freeze --for 2h --reason 'data centre move'", "freeze"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(SetFreeze.verb,),
    args=(
        Arg(
            name="--for",
            type=ArgType.DURATION,
            help="for how long, such as 30m or 2h, at most 30d (default: until somebody gives `unfreeze`)",
        ),
        Arg(name="--reason", help="why; everybody whose change is refused reads it"),
    ),
)
