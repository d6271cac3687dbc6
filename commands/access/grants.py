"""`grants`: lists all valid grants, from the configuration file and from the command `grant`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, grant_table
from commands.spec import Command, Context, Result
from core.model.actions import Action
from core.model.bot_actions import ListGrants
from core.model.replies import Reply, Table


async def plan(_: Context) -> Sequence[Action[Any]]:
    return (ListGrants(),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    rows = [grant_table.make_grant_row(grant) for grant in result.value]
    empty = "There are no grants; only admins may do anything. Add one with: grant group:sre operator"
    return Reply(blocks=(Table(columns=grant_table.COLUMNS, wrapped=grant_table.WRAPPED, rows=rows, empty=empty),))


command = Command(
    name="grants",
    summary="list the permissions that people and groups have",
    examples=("grants", "/deck grants"),
    plan=plan,
    render=render,
    verbs=(ListGrants.verb,),
)
