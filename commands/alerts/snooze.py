"""`snooze`: stops posting about one incident for a time. If it is still open then, a reminder is posted in its
thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.alert_setting_actions import SnoozeIncident
from core.model.replies import Button, Reply, Text, Tone
from core.model.silences import Silence
from core.text import command_line

MAX_TIME = timedelta(days=7)


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = context.args["for"]
    if not timedelta(minutes=1) <= wanted <= MAX_TIME:
        raise errors.BadUsage(
            f"A snooze of {formatting.exact_span(wanted)} is not possible.",
            hint="Choose a time from 1m to 7d, such as --for 1h. For up to 30d, use `silence`.",
        )
    seconds = wanted.total_seconds()
    return (SnoozeIncident(by=context.who, place=context.place, id=context.args["id"], seconds=seconds),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    snooze: Silence = result.value
    until = formatting.moment(snooze.until)
    text = f"{snooze.by_name} snoozed {snooze.owner} until {until}. If it is still open then, a reminder is posted."
    end = Button(label="End the snooze", line=command_line.quote(["unsilence", snooze.id]))
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), buttons=(end,), everyone=True)


command = Command(
    name="snooze",
    summary="post nothing about an incident for a time, then remind the channel",
    examples=("snooze 3fa92c-1", "snooze 3fa92c --for 30m"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(SnoozeIncident.verb,),
    args=(
        Arg(name="id", required=True, help="id of the incident, or the start of its id"),
        Arg(
            name="--for",
            type=ArgType.DURATION,
            default=timedelta(hours=1),
            help="for how long, such as 30m or 2h, from 1m to 7d",
        ),
    ),
)
