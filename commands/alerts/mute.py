"""`mute me`: stops mentions of the requester in messages about incidents, and direct messages about them, for a
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.alert_setting_actions import MuteRequester
from core.model.replies import Button, Reply, Text, Tone
from core.model.silences import Mute

MAX_TIME = timedelta(days=30)


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = context.args["for"]
    if wanted > MAX_TIME:
        raise errors.BadUsage(
            f"You cannot be muted for {formatting.exact_span(wanted)}.",
            hint="Choose a time of at most 30d, such as --for 8h.",
        )
    return (MuteRequester(by=context.who, seconds=wanted.total_seconds()),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    mute: Mute = result.value
    until = formatting.moment(mute.until)
    text = (
        f"Until {until}, no incident mentions you, and none is sent to you as a direct message. A mention of a user"
        " group still reaches you, because Slack cannot leave out one of its members."
    )
    end = Button(label="Unmute me", line="unmute me")
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), buttons=(end,))


command = Command(
    name="mute",
    summary="stop incidents from mentioning you for a time",
    examples=("mute me", "mute me --for 2d"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(MuteRequester.verb,),
    args=(
        Arg(name="who", required=True, choices=("me",), help="write this word; you can do this only for yourself"),
        Arg(
            name="--for",
            type=ArgType.DURATION,
            default=timedelta(hours=8),
            help="for how long, such as 8h or 2d, at most 30d",
        ),
    ),
)
