"""`silence`: stops posting some incidents for a time. They are still found and listed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.alert_actions import AddSilence
from core.model.replies import Button, Reply, Text, Tone
from core.model.silences import Silence
from core.text import command_line

MAX_TIME = timedelta(days=30)


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if not timedelta(0) < args["for"] <= MAX_TIME:
        raise errors.BadUsage(
            f"A silence of {formatting.span(args['for'].total_seconds())} is not possible.",
            hint="Choose a time of at most 30d, such as --for 2h.",
        )
    return (
        AddSilence(
            by=context.who,
            owner=args["name"],
            seconds=args["for"].total_seconds(),
            rule=args["rule"] or "",
            reason=args["reason"] or "",
        ),
    )


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    silence: Silence = result.value
    until = formatting.clock(datetime.fromtimestamp(silence.until, UTC), context.now)
    what = f"{silence.owner}{f', rule {silence.rule},' if silence.rule else ''}"
    text = f"Incidents about {what} are not posted until {until} UTC ({silence.id})."
    undo = Button(label="End the silence", line=command_line.quote(["unsilence", silence.id]))
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), buttons=(undo,), everyone=True)


command = Command(
    name="silence",
    summary="do not post some incidents for a time",
    examples=("silence shop/web --for 2h", "silence 'batch-*' --rule job-failed --for 1d --reason migration"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(AddSilence.verb,),
    args=(
        Arg(
            name="name",
            required=True,
            help="name of what the incidents are about, or id of one incident (globs allowed)",
        ),
        Arg(
            name="--for",
            type=ArgType.DURATION,
            default=timedelta(hours=1),
            help="for how long, for example 30m, 2h or 1d",
        ),
        Arg(name="--rule", help="only incidents of this alert rule (globs allowed)"),
        Arg(name="--reason", help="the reason, which others see in the list"),
    ),
)
