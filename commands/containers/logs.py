"""`logs`: what containers wrote last. One page per container comes in; several are merged by time, each line with its
container's name. Older lines beyond the page are counted, not shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from commands._shared import show
from commands.spec import SELECTION, TARGETS, Arg, Command, Context, Result, Take
from core import errors
from core.model.actions import Action, ReadLogs
from core.model.jobs import FollowResult
from core.model.replies import Ending, Lines, Reply, Text, Tone
from core.model.results import LogLine, LogPage

TAIL = 100
FOLLOW_TAIL = 10
MOST_FOLLOWED = 5
TAIL_SINCE = 1_000  # lines, where a time was given and no number
MOST_LINES = 10_000
MOST_TARGETS = 20
_EPOCH = datetime.fromtimestamp(0, UTC)
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    refs = await show.chosen(context, "logs", MOST_TARGETS)
    since = args["since"]
    since_ns = int((context.now - since).timestamp()) * 1_000_000_000 if since else 0
    tail = args["tail"] or (TAIL_SINCE if since else TAIL)
    follow = args["follow"]
    if follow and len(refs) > MOST_FOLLOWED:
        raise errors.BadUsage(
            f"That would follow {len(refs)} containers at once.",
            hint=f"At most {MOST_FOLLOWED}; name them, or use --label.",
        )
    if follow:
        tail = args["tail"] or FOLLOW_TAIL
    return [ReadLogs(engine=ref.engine, target=ref, tail=tail, since_ns=since_ns, follow=follow) for ref in refs]


def render(context: Context, results: Sequence[Result]) -> Reply:
    if any(isinstance(result.value, FollowResult) for result in results):
        return _followed(results)
    pages = [result for result in results if isinstance(result.value, LogPage)]
    labels = show.names([show.subject(result) for result in results])
    label_of = {id(result): label for result, label in zip(results, labels, strict=True)}
    prefixed = len(results) > 1
    widest = max(map(len, labels), default=0)
    lines: list[tuple[datetime, str]] = []
    for result in pages:
        prefix = f"{label_of[id(result)]:<{widest}} | " if prefixed else ""
        lines += _page(context, result.value, prefix)
    if prefixed:
        # Stable, so each container's own lines keep their order even where its times do not say it.
        lines.sort(key=lambda line: line[0])
    notes = [Text(text=_dropped(label_of[id(result)], result.value)) for result in pages if result.value.dropped]
    notes += [
        Text(text=f"{label_of[id(result)]}: {result.error.full_message()}", tone=Tone.BAD)
        for result in results
        if result.error is not None
    ]
    if not pages:
        return Reply(blocks=notes, ending=show.failed_ending(results))
    if not lines:
        return Reply(blocks=(Text(text=_silent(context, [label_of[id(result)] for result in pages])), *notes))
    return Reply(blocks=(Lines(lines=[text for _, text in lines]), *notes), ending=Ending.OK)


def _followed(results: Sequence[Result]) -> Reply:
    labels = show.names([show.subject(result) for result in results])
    said: list[Text] = []
    ended = [result.value for result in results if isinstance(result.value, FollowResult)]
    for label, result in zip(labels, results, strict=True):
        if isinstance(result.value, FollowResult):
            end = result.value
            skipped = f", {end.skipped:,} of them not shown" if end.skipped else ""
            came = f"{show.count(end.lines, 'line')}{skipped}"
            text = f"Followed {label} for {show.span(end.seconds)}: {came}; {end.why.removesuffix('.')}."
            said.append(Text(text=text, tone=Tone.BAD if end.failed else Tone.PLAIN))
        elif result.error is not None:
            said.append(Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD))
    return Reply(blocks=said, ending=Ending.FAILED if all(end.failed for end in ended) else Ending.OK)


def _page(context: Context, page: LogPage, prefix: str) -> list[tuple[datetime, str]]:
    lines = []
    at = _EPOCH
    for line in page.lines:
        # Never backwards within one container: its own order is the truth.
        at = max(at, _when(line) or at)
        if context.args["stderr"] and line.stream != "stderr":
            continue
        stamp = f"{line.at} " if context.args["timestamps"] else ""
        lines.append((at, f"{prefix}{stamp}{line.text}"))
    return lines


def _when(line: LogLine) -> datetime | None:
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", line.at))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _dropped(label: str, page: LogPage) -> str:
    return f"{label}: {show.count(page.dropped, 'older line')} left out; --tail 1000 shows more."


def _silent(context: Context, labels: Sequence[str]) -> str:
    who = ", ".join(labels)
    what = "nothing to stderr" if context.args["stderr"] else "nothing"
    since = context.args["since"]
    when = f" in the last {show.span(since.total_seconds())}" if since else ""
    return f"{who} wrote {what}{when}."


command = Command(
    name="logs",
    summary="show what containers wrote last",
    examples=(
        "logs web",
        "logs web --tail 500 -t",
        "logs web api --since 10m",
        "logs 'shop-*' --since 1h --stderr",
        "logs web -f",
    ),
    plan=plan,
    render=render,
    verbs=("container.logs",),
    aliases=("log",),
    args=(
        TARGETS,
        Arg(
            name="--tail",
            short="n",
            take=Take.COUNT,
            top=MOST_LINES,
            help=f"the newest lines wanted, at most {MOST_LINES:,}; {TAIL} unless told, {TAIL_SINCE:,} with --since",
        ),
        Arg(name="--follow", short="f", take=Take.FLAG, help="go on showing what comes, for ten minutes at most"),
        Arg(name="--since", short="S", take=Take.DURATION, help="only lines of the last 90s, 10m, 2h, 1d"),
        Arg(name="--timestamps", short="t", take=Take.FLAG, help="with the time of each line"),
        Arg(name="--stderr", take=Take.FLAG, help="of these lines, only those written to stderr"),
        *SELECTION,
    ),
)
