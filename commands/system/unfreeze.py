"""`unfreeze`: lifts the freeze of all changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.freezes import Freeze, LiftAnyFreeze, LiftFreeze
from core.model.replies import Reply, Text, Tone


async def plan(context: Context) -> Sequence[Action[Any]]:
    if context.args["force"]:
        return (LiftAnyFreeze(by=context.who),)
    return (LiftFreeze(by=context.who),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    freeze: Freeze = result.value
    text = f"Changes are possible again: the freeze of {freeze.by_name or freeze.by or 'somebody'} was lifted."
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), everyone=True)


command = Command(
    name="unfreeze",
    summary="allow changes again after a freeze",
    examples=("unfreeze", "unfreeze --force"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(LiftFreeze.verb, LiftAnyFreeze.verb),
    verb_conditions=(("with --force", LiftAnyFreeze.verb),),
    args=(Arg(name="--force", short="f", type=ArgType.FLAG, help="also end a freeze that somebody else set"),),
)
