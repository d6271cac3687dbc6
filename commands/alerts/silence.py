"""`silence`: stops posting some incidents for a time. They are still found and listed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.alert_actions import AddSilence
from core.model.alert_routes import FIELDS, Matcher, parse_matcher
from core.model.replies import Button, Reply, Text, Tone
from core.model.silences import Silence
from core.text import command_line

MAX_TIME = timedelta(days=30)
DEFAULT_TIME = timedelta(hours=1)


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    until_resolved = args["until_resolved"]
    wanted = args["for"] or (MAX_TIME if until_resolved else DEFAULT_TIME)
    if not timedelta(0) < wanted <= MAX_TIME:
        raise errors.BadUsage(
            f"A silence of {formatting.exact_span(wanted)} is not possible.",
            hint="Choose a time of at most 30d, such as --for 2h.",
        )
    matchers = tuple(map(_matcher, args["match"]))
    if not (args["name"] or matchers):
        raise errors.BadUsage(
            "The command `silence` needs a name or --match.",
            hint="For example: `silence shop/web`, or `silence --match severity=low`.",
        )
    return (
        AddSilence(
            by=context.who,
            owner=args["name"] or "*",
            seconds=wanted.total_seconds(),
            rule=args["rule"] or "",
            reason=args["reason"] or "",
            until_resolved=until_resolved,
            matchers=matchers,
            place=context.place,
        ),
    )


def _matcher(text: str) -> Matcher:
    found = parse_matcher(text)
    if found is None:
        raise errors.BadUsage(
            f"--match cannot be “{command_line.abbreviate(text)}”.",
            hint=f"Write FIELD=VALUE or FIELD!=VALUE, such as team=web. Fields: {', '.join(FIELDS)} and label.NAME.",
        )
    return found


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    silence: Silence = result.value
    until = formatting.moment(silence.until)
    what = silence.what()
    end = f"they are resolved, or until {until}" if silence.until_resolved else f"{until}"
    text = f"Incidents about {what} are not posted until {end} ({silence.id})."
    undo = Button(label="End the silence", line=command_line.quote(["unsilence", silence.id]))
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), buttons=(undo,), everyone=True)


command = Command(
    name="silence",
    summary="do not post some incidents for a time",
    examples=(
        "silence shop/web --for 2h",
        "silence 'batch-*' --rule job-failed --for 1d --reason migration",
        "silence shop/web --until-resolved",
        "silence --match severity=low --match 'host=prod-*'",
    ),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(AddSilence.verb,),
    args=(
        Arg(
            name="name",
            help="name of what the incidents are about, such as shop/web (globs allowed), or id of one incident; can"
            " be left out with --match",
        ),
        Arg(
            name="--for",
            type=ArgType.DURATION,
            help="for how long, such as 30m, 2h or 1d, at most 30d (default 1h; with --until-resolved: 30d)",
        ),
        Arg(
            name="--until-resolved",
            type=ArgType.FLAG,
            help="end the silence when the incidents are resolved, or after the time of --for",
        ),
        Arg(name="--rule", help="only incidents of this alert rule (globs allowed)"),
        Arg(
            name="--match",
            short="m",
            many=True,
            help="only incidents with this value, such as severity=low, team!=payments or label.app=front-*",
        ),
        Arg(name="--reason", help="why; everybody can read it in the list"),
    ),
)
