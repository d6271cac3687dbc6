"""`claim CODE`: makes the requester the first admin. If there is no admin, Quarterdeck logs the code at its start. The
code works once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.bot_actions import ClaimAdmin
from core.model.replies import Reply, Text, Tone


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (ClaimAdmin(by=context.who, code=context.args["code"]),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    text = f"You are an admin now, {context.who.name}. Add others with: grant @somebody operator"
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),))


command = Command(
    name="claim",
    summary="become the first admin with the code from Quarterdeck's log",
    examples=("claim 4f0c5d2e9b7a4c31a8d6e0f1b2c39475", "claim 0b1a7f6c5d4e3f2a918273645f6e7d8c"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(ClaimAdmin.verb,),
    args=(Arg(name="code", required=True, help="code that Quarterdeck wrote to its log when it started"),),
)
