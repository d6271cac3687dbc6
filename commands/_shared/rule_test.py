"""Plans and renders `rules test`, which shows the alerts that an alert rule, a changed rule or a new rule would have
reported in the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, ArgType, Context, Result
from core import errors
from core.model.actions import Action
from core.model.replies import Block, Reply, Table, Text
from core.model.rule_tests import ReplayedMessage, ReplayRule, RuleTest
from core.text import command_line

DEFAULT_SINCE, MAX_SINCE = timedelta(days=1), timedelta(days=7)
LIMIT = 20


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if not (args["rule"] or args["on"] or args["where"]):
        raise errors.BadUsage(
            "The command `rules test` needs a rule.",
            hint="Write the name of a rule, such as `rules test crash`, or describe a new one, such as `rules test --on"
            " died --where exit_code!=0`. List the rules with: rules",
        )
    since = args["since"] or DEFAULT_SINCE
    if since > MAX_SINCE:
        raise errors.BadUsage(
            f"--since {formatting.exact_span(since)} goes back too far: the maximum is 7d.",
            hint="Write a shorter time, such as --since 7d.",
        )
    threshold = args["threshold"]
    try:
        number = float(threshold) if threshold else None
    except ValueError:
        raise errors.BadUsage(
            f"--threshold {command_line.abbreviate(threshold)} is not a number.",
            hint="Write a number, such as --threshold 5.",
        ) from None
    action = ReplayRule(
        who=context.who,
        place=context.place,
        name=args["rule"] or "",
        since_ns=int((context.now - since).timestamp()) * 1_000_000_000,
        hold=_seconds(args["for"]),
        settle=_seconds(args["settle"]),
        cooldown=_seconds(args["cooldown"]),
        threshold=number,
        severity=args["severity"] or "",
        on=args["on"] or "",
        where=tuple(args["where"] or ()),
        count=args["count"] or 0,
        within=_seconds(args["within"]),
        file=args["file"] or "",
    )
    return (action,)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    test: RuleTest = result.value
    number = len(test.messages) + test.more
    suppressed = max(0, test.found - number)
    changed = f" with {test.settings}" if test.settings else ""
    span = formatting.span((test.until_ns - test.since_ns) / 1e9)
    head = (
        f"{test.rule}{changed} would have sent {formatting.count(number, 'message')} in {span},"
        f" {suppressed:,} suppressed."
    )
    blocks: list[Block] = [Text(text=head)]
    if test.messages:
        shown = test.messages[-context.args["limit"] :]
        rows = [_row(message, context.now) for message in reversed(shown)]
        blocks.append(
            Table(
                columns=("WHEN", "LASTED", "SEVERITY", "WHAT", "TIMES", "WHY"),
                rows=rows,
                wrap=True,
                priority=("WHAT", "WHEN", "SEVERITY"),
            )
        )
        if number > len(shown):
            blocks.append(Text(text=f"{number - len(shown):,} older messages are left out; --limit shows more."))
    if why := _suppressed(test):
        blocks.append(Text(text=f"Suppressed: {why}."))
    events = formatting.count(test.events, "event")
    blocks.append(
        Text(text=f"Replayed {events} in {test.took:.1f} s; the rule was asked about {test.asked:,} of them.")
    )
    blocks += [Text(text=note) for note in test.notes]
    return Reply(blocks=blocks)


def _suppressed(test: RuleTest) -> str:
    parts = (
        (test.repeated, "while the incident was open"),
        (test.reopened, "within an hour after its end, in the old message"),
        (test.held_back, "over too soon, or in the cooldown"),
        (test.waiting, "not long enough yet"),
    )
    return ", ".join(f"{number:,} {what}" for number, what in parts if number)


def _row(message: ReplayedMessage, now: datetime) -> Sequence[str | int]:
    at = formatting.moment(message.at_ns / 1e9)
    lasted = formatting.span((message.until_ns - message.at_ns) / 1e9) if message.until_ns else "-"
    where = f"{message.owner}@{message.subject.engine}"
    return (at, lasted, str(message.severity), where, message.times, message.text)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


ARGS = (
    Arg(name="rule", help="with test: name of the rule; without RULE, the options describe a new rule"),
    Arg(
        name="--since", short="S", type=ArgType.DURATION, help="with test: how far to go back, at most 7d (default 1d)"
    ),
    Arg(
        name="--for",
        type=ArgType.DURATION,
        help="with test: time that the problem must last, such as 2m (default: as in the rule)",
    ),
    Arg(
        name="--settle",
        type=ArgType.DURATION,
        help="with test: time without the problem until the incident is resolved, such as 5m (default: as in the rule)",
    ),
    Arg(
        name="--cooldown",
        type=ArgType.DURATION,
        help="with test: time after the end of an incident in which the rule does not fire, such as 10m (default: as in"
        " the rule)",
    ),
    Arg(name="--threshold", help="with test: number that the rule compares with, such as 5 (default: as in the rule)"),
    Arg(name="--severity", help="with test: severity of the incidents: high, medium or low (default: as in the rule)"),
    Arg(name="--on", help="with test, for a new rule: kind of event, such as died, oom or health"),
    Arg(
        name="--where",
        many=True,
        help="with test, for a new rule: condition on a field of the event, such as exit_code!=0",
    ),
    Arg(
        name="--count",
        type=ArgType.COUNT,
        maximum=100,
        help="with test, for a new rule: number of such events that cause an alert",
    ),
    Arg(
        name="--within",
        type=ArgType.DURATION,
        help="with test, for a new rule: time in which these events must happen, such as 10m",
    ),
    Arg(
        name="--file", help="with test, only at a console: read the events from this file instead of the stored history"
    ),
    Arg(
        name="--limit",
        short="n",
        type=ArgType.COUNT,
        default=LIMIT,
        maximum=100,
        help="with test: show the newest COUNT messages",
    ),
)
"""The arguments of a test, after the word `test`."""
