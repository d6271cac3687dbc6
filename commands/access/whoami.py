"""`whoami`: who you are to this bot, and which grants hold for you here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import grants as _shared_grants
from commands._shared import show
from commands.spec import Command, Context, Result
from core.model.actions import Action
from core.model.builtin import RequesterInfo, WhoAmI
from core.model.replies import Fields, Reply, Table, Text, Tone


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (WhoAmI(who=context.who, place=context.place),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return Reply(
            blocks=(Text(text=result.error.full_message(), tone=Tone.BAD),), ending=show.ending_of(result.error)
        )
    standing: RequesterInfo = result.value
    fields = {
        "name": standing.name,
        "id": standing.id,
        "groups": ", ".join(standing.groups) or "none",
        "admin": "yes" if standing.admin else "no",
        "here": context.place.channel,
    }
    grants = Table(
        columns=_shared_grants.COLUMNS,
        rows=[_shared_grants.row(grant) for grant in standing.grants],
        title="What holds for you here",
        empty="No grant holds for you here. Ask somebody who may grant; your id above is what they need.",
    )
    return Reply(blocks=(Fields(fields=fields), grants))


command = Command(
    name="whoami",
    summary="show who you are here and what you may do",
    examples=("whoami", "/deck whoami"),
    plan=plan,
    render=render,
    verbs=(WhoAmI.verb,),
)
