"""`revoke`: removes a grant. It is invalid from the next command on, on every replica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, grant_table
from commands.spec import Arg, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.bot_actions import GrantRemoved, RemoveGrant
from core.model.replies import Reply, Text, Tone


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (RemoveGrant(by=context.who, place=context.place, id=context.args["id"]),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    revoked: GrantRemoved = result.value
    text = f"Revoked {revoked.grant.id}: {grant_table.sentence(revoked.grant, before=True)}"
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), everyone=True)


command = Command(
    name="revoke",
    summary="remove a grant",
    examples=("revoke g-4f2a9c", "revoke g-0b71d3"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(RemoveGrant.verb,),
    args=(Arg(name="id", required=True, help="id of the grant, as `grants` shows it"),),
)
