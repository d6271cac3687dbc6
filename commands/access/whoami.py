"""`whoami`: shows the requester's identity and the requester's grants in this channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, grant_table
from commands.spec import Command, Context, Result
from core.model.actions import Action
from core.model.bot_actions import RequesterInfo, WhoAmI
from core.model.replies import Fields, Reply, Table


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (WhoAmI(who=context.who, place=context.place),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    standing: RequesterInfo = result.value
    fields = {
        "name": standing.name,
        "id": standing.id,
        "groups": ", ".join(standing.groups) or "none",
        "admin": "yes" if standing.admin else "no",
        "here": context.place.channel,
    }
    grants = Table(
        columns=grant_table.COLUMNS,
        wrapped=grant_table.WRAPPED,
        rows=[grant_table.make_grant_row(grant) for grant in standing.grants],
        title="Your grants here",
        empty="You have no grants here. Ask an admin for one, and give them your id shown above.",
    )
    return Reply(blocks=(Fields(fields=fields), grants))


command = Command(
    name="whoami",
    summary="show your identity and your permissions in this channel",
    examples=("whoami", "/deck whoami"),
    plan=plan,
    render=render,
    verbs=(WhoAmI.verb,),
)
