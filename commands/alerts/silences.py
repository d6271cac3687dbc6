"""`silences`: lists the silences that are in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Command, Context, Result
from core.model.actions import Action
from core.model.alert_actions import ListSilences
from core.model.replies import Reply, Table


async def plan(_: Context) -> Sequence[Action[Any]]:
    return (ListSilences(),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    rows = [
        (
            silence.id,
            silence.what(),
            formatting.moment(silence.until) + (", or resolved" if silence.until_resolved else ""),
            silence.by_name,
            silence.reason or "-",
        )
        for silence in result.value
    ]
    columns = ("ID", "ABOUT", "UNTIL", "BY", "REASON")
    return Reply(
        blocks=(
            Table(
                columns=columns,
                rows=rows,
                wrapped=("ABOUT",),
                priority=("ID", "ABOUT", "UNTIL"),
                empty="Nothing is silenced.",
            ),
        )
    )


command = Command(
    name="silences",
    summary="list the silences of incidents",
    examples=("silences", "/deck silences"),
    plan=plan,
    render=render,
    verbs=(ListSilences.verb,),
)
