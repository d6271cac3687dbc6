"""`maintenance`: lists, adds and ends maintenance windows, in which nothing about their targets is posted."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, Result
from core import errors
from core.model import daily_hours, typed_times
from core.model.actions import Action, Risk
from core.model.alert_setting_actions import AddMaintenance, EndMaintenance, ListMaintenance
from core.model.daily_hours import DailyHours
from core.model.maintenance import Maintenance
from core.model.replies import Button, Reply, Table, Text, Tone
from core.text import command_line

MAX_TIME = timedelta(days=7)
MAX_AHEAD = timedelta(days=366)
MAX_LENGTH = 200  # characters of a name or a reason
WILDCARDS = frozenset("*?/")
EVERY_DAY = ("day", "daily", "every day")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    match args["do"]:
        case "list":
            return (ListMaintenance(),)
        case "end":
            if not args["name"]:
                raise errors.BadUsage(
                    "The command `maintenance end` needs the id of a window.",
                    hint="List the windows with: maintenance list",
                )
            return (EndMaintenance(id=args["name"]),)
    return (_new(context, args),)


def _new(context: Context, args: Mapping[str, Any]) -> AddMaintenance:
    name, host, engine = args["name"] or "", args["host"] or "", args["engine"] or ""
    if name and set(name) <= WILDCARDS:
        raise errors.BadUsage(
            f"The maintenance window was not added: “{name}” would hold back the messages of every incident.",
            hint="Write a name or a pattern such as shop/*. If you mean everything, write --host '*'.",
        )
    if not (name or host or engine):
        raise errors.BadUsage(
            "The command `maintenance add` needs a name, --host or --engine.",
            hint="For example: maintenance add 'shop/*' --for 2h",
        )
    if not timedelta(minutes=1) <= args["for"] <= MAX_TIME:
        raise errors.BadUsage(
            f"A maintenance window of {formatting.exact_span(args['for'])} is not possible.",
            hint="Choose a time from 1m to 7d, such as --for 2h.",
        )
    texts = {"name": name, "host": host, "engine": engine, "reason": args["reason"] or ""}
    for what, text in texts.items():
        if len(text) > MAX_LENGTH:
            raise errors.BadUsage(
                f"The {what} has {len(text):,} characters; the maximum is {MAX_LENGTH}.", hint="Write a shorter text."
            )
    zone = args["zone"] or (context.who.zone if daily_hours.is_zone(context.who.zone) else "UTC")
    if not daily_hours.is_zone(zone):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(zone)}” is not a known time zone.",
            hint="Write a name such as Europe/Berlin or UTC.",
        )
    begin, hours = 0.0, None
    if args["every"]:
        hours = _hours(args, zone)
    elif args["at"]:
        begin = _begin(args["at"], zone, context.now)
    return AddMaintenance(
        by=context.who,
        target=name,
        host=host,
        engine_pattern=engine,
        seconds=args["for"].total_seconds(),
        reason=args["reason"] or "",
        place=context.place.channel if context.place.kind == "channel" else "",
        begin=begin,
        hours=hours,
    )


def _hours(args: Mapping[str, Any], zone: str) -> DailyHours:
    minutes = daily_hours.minutes_of(args["at"] or "")
    if minutes is None or minutes >= daily_hours.MINUTES_PER_DAY:
        typed = f", but --at is “{command_line.abbreviate(args['at'])}”" if args["at"] else " in --at"
        raise errors.BadUsage(
            f"A maintenance window with --every needs a time of day{typed}.",
            hint="Write for example: --every sat --at 22:00",
        )
    text = args["every"].strip().lower()
    typed_days = daily_hours.DAYS if text in EVERY_DAY else [word.strip() for word in text.split(",")]
    if unknown := [word for word in typed_days if word[:3] not in daily_hours.DAYS]:
        raise errors.BadUsage(
            f"“{command_line.abbreviate(unknown[0])}” in --every is not a day of the week.",
            hint=f"Write --every day, or some of these days with commas between them: {', '.join(daily_hours.DAYS)}.",
        )
    words = [word[:3] for word in typed_days]
    days = tuple(sorted({daily_hours.DAYS.index(word) for word in words}))
    seconds = args["for"].total_seconds()
    if seconds > (gap := _shortest_gap(days)):
        raise errors.BadUsage(
            f"The maintenance window would last {formatting.exact_span(args['for'])}, but it would open again after"
            f" {formatting.exact_span(timedelta(seconds=gap))}.",
            hint="Write a shorter time with --for, or fewer days with --every.",
        )
    return DailyHours(begin=minutes, seconds=seconds, zone=zone, days=days)


def _shortest_gap(days: Sequence[int]) -> float:
    """Returns the shortest time between two of these days of the week, in seconds."""
    following = [*days[1:], days[0] + len(daily_hours.DAYS)]
    return min(after - day for day, after in zip(days, following, strict=True)) * 86_400.0


def _begin(text: str, zone: str, now: datetime) -> float:
    typed = typed_times.parse_typed_time(text)
    minutes = daily_hours.minutes_of(text)
    if minutes is not None and minutes < daily_hours.MINUTES_PER_DAY:
        coming = DailyHours(begin=minutes, seconds=60.0, zone=zone).coming(now.timestamp())
        assert coming is not None
        return coming.begin
    if typed is None or typed.at is None:
        raise errors.BadUsage(
            f"--at cannot be “{command_line.abbreviate(text)}”.",
            hint="Write a time of day such as 22:00, or a date such as 2026-11-29T22:00.",
        )
    at = typed.at if typed.at.tzinfo else typed.at.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    if not now - timedelta(minutes=1) <= at <= now + MAX_AHEAD:
        why = "is in the past" if at < now else "is more than a year ahead"
        where = "" if typed.at.tzinfo else f" ({zone})"
        raise errors.BadUsage(
            f"A maintenance window cannot begin at {command_line.abbreviate(text)}{where}, which {why}.",
            hint="Choose a time within the next year. To begin at once, leave out --at.",
        )
    return at.timestamp()


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    if isinstance(result.action, ListMaintenance):
        rows = [_row(window, context.now) for window in result.value]
        columns = ("ID", "ABOUT", "WHEN", "STATE", "BY", "REASON")
        return Reply(
            blocks=(
                Table(
                    columns=columns,
                    rows=rows,
                    wrapped=("ABOUT", "WHEN"),
                    priority=("ABOUT", "STATE", "WHEN", "ID"),
                    empty="There is no maintenance window.",
                ),
            )
        )
    window: Maintenance = result.value
    if isinstance(result.action, EndMaintenance):
        text = f"Maintenance of {window.what()} is over ({window.id}). Incidents about it are posted again."
        return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), everyone=True)
    at_once = window.hours is None and isinstance(result.action, AddMaintenance) and not result.action.begin
    when = _when(window, context.now, begun=at_once)
    opens = "is open" if at_once else "opens"
    text = f"The maintenance window of {window.what()} {opens} {when} ({window.id}). Nothing about it is posted then."
    end = Button(label="End it", line=command_line.quote(["maintenance", "end", window.id]))
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), buttons=(end,), everyone=True)


def _row(window: Maintenance, now: datetime) -> Sequence[str | int]:
    state = "open" if window.open_at(now.timestamp()) is not None else "planned"
    return (window.id, window.what(), _when(window, now), state, window.by_name, window.reason or "-")


def _when(window: Maintenance, now: datetime, *, begun: bool = False) -> str:
    if window.hours is not None:
        return window.hours.text()
    begin, end = (formatting.moment(at) for at in (window.begin, window.end))
    return f"until {end}" if begun or window.begin <= now.timestamp() else f"from {begin} to {end}"


command = Command(
    name="maintenance",
    summary="list, add or end maintenance windows, in which incidents are not posted",
    examples=(
        "maintenance list",
        "maintenance add 'shop/*' --for 2h --reason migration",
        "maintenance add --host 'prod-*' --every sat --at 22:00 --for 3h --zone Europe/Berlin",
        "maintenance end m-3fa92c",
    ),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(ListMaintenance.verb, AddMaintenance.verb, EndMaintenance.verb),
    verb_conditions=(
        ("with list", ListMaintenance.verb),
        ("with add", AddMaintenance.verb),
        ("with end", EndMaintenance.verb),
    ),
    args=(
        Arg(
            name="do",
            placeholder="ACTION",
            default="list",
            choices=("list", "add", "end"),
            help="list: list the windows; add: add a window; end: end a window",
        ),
        Arg(
            name="name",
            help="with add: container, service or project (globs allowed); can be left out with --host or --engine;"
            " with end: id of the window",
        ),
        Arg(
            name="--for",
            type=ArgType.DURATION,
            default=timedelta(hours=1),
            help="with add: for how long, such as 30m or 2h, from 1m to 7d",
        ),
        Arg(
            name="--at",
            help="with add: when the window begins, such as 22:00 or 2026-11-29T22:00 (default: now); needed"
            " with --every",
        ),
        Arg(
            name="--every",
            help="with add: repeat the window on these days, such as sat,sun; the word day means every day",
        ),
        Arg(
            name="--zone",
            help="with add: time zone of --at, such as Europe/Berlin (default: yours in Slack, otherwise UTC)",
        ),
        Arg(name="--reason", help="with add: why; everybody can read it"),
        replace(HOST, help=f"with add: {HOST.help}"),
        replace(ENGINE, help=f"with add: {ENGINE.help}"),
    ),
)
