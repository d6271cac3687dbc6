"""Plans and renders the newest log lines of containers, for `logs` and `pod logs`.

The lines of several containers are sorted by time, and each line begins with its container's name. Older lines are left
out; the reply says how many.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from commands._shared import follow_end_reply, formatting, targets
from commands.spec import Arg, ArgType, Context, Result
from core import errors
from core.model.actions import Action, ReadLogs
from core.model.background_jobs import FollowResult
from core.model.refs import EngineRef, Ref
from core.model.replies import Ending, Lines, Reply, Text, Tone
from core.model.results import MAX_PAGE_CHARACTERS, LogLine, LogPage

# Lines shown where no number is given: by default, with --follow, with --since.
TAIL = 100
FOLLOW_TAIL = 10
SINCE_TAIL = 1_000
MAX_LINES = 10_000
MAX_TARGETS = 20
MAX_CHARACTERS = MAX_PAGE_CHARACTERS  # of one reply; the containers share them
MAX_FOLLOWED = 5
OPTIONS = (
    Arg(
        name="--tail",
        short="n",
        type=ArgType.COUNT,
        maximum=MAX_LINES,
        help=f"show the newest COUNT lines, at most {MAX_LINES:,} (default {TAIL}, with --since {SINCE_TAIL:,})",
    ),
    Arg(name="--follow", short="f", type=ArgType.FLAG, help="show new lines as they come, for at most ten minutes"),
    Arg(
        name="--since",
        short="S",
        type=ArgType.DURATION,
        help="only lines of the last TIME, for example 90s, 10m, 2h or 1d",
    ),
    Arg(name="--timestamps", short="t", type=ArgType.FLAG, help="show the time of each line"),
    Arg(name="--stderr", type=ArgType.FLAG, help="of these lines, show only those from stderr"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """One line of the log of `target`. `at`: RFC 3339 with nanoseconds; `stream`: stdout or stderr."""

    target: Ref
    engine: EngineRef
    at: str
    stream: str
    text: str


SHOWS = (ShownLine, FollowResult)
_EPOCH = datetime.fromtimestamp(0, UTC)
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+")


def plan(context: Context, command: str, refs: Sequence[Ref]) -> Sequence[Action[Any]]:
    """Returns the reads of these containers, of which there are at most MAX_TARGETS. Raises BadUsage."""
    args = context.args
    since = args["since"]
    since_ns = int((context.now - since).timestamp()) * 1_000_000_000 if since else 0
    tail = args["tail"] or (SINCE_TAIL if since else TAIL)
    follow = args["follow"]
    if follow and len(refs) > MAX_FOLLOWED:
        raise errors.BadUsage(
            f"{command} -f follows at most {MAX_FOLLOWED} containers at once, but {len(refs)} are selected.",
            hint="Select fewer containers.",
        )
    if follow:
        tail = args["tail"] or FOLLOW_TAIL
    share = MAX_CHARACTERS // max(1, len(refs))
    return [
        ReadLogs(engine=ref.engine, target=ref, tail=tail, since_ns=since_ns, follow=follow, max_characters=share)
        for ref in refs
    ]


def render(context: Context, results: Sequence[Result]) -> Reply:
    if any(isinstance(result.value, FollowResult) for result in results):
        return follow_end_reply.render_follow_ends(results)
    pages = [result for result in results if isinstance(result.value, LogPage)]
    labels = targets.display_names([targets.target_of_result(result) for result in results])
    label_of = {id(result): label for result, label in zip(results, labels, strict=True)}
    prefixed = len(results) > 1
    widest = max(map(len, labels), default=0)
    lines: list[tuple[datetime, str, ShownLine]] = []
    for result in pages:
        prefix = f"{label_of[id(result)]:<{widest}} | " if prefixed else ""
        lines += _page(context, result, prefix)
    if prefixed:
        # The sort is stable: lines of one container with equal times keep their order.
        lines.sort(key=lambda line: line[0])
    notes = [Text(text=_dropped(label_of[id(result)], result)) for result in pages if result.value.dropped]
    notes += [
        Text(text=f"{label_of[id(result)]}: {result.error.full_message()}", tone=Tone.BAD)
        for result in results
        if result.error is not None
    ]
    if not pages:
        return Reply(blocks=notes, ending=formatting.failed_ending(results))
    if not lines:
        nothing = Text(text=_no_lines(context, [label_of[id(result)] for result in pages]))
        return Reply(blocks=(nothing, *notes), values=())
    shown = [line for _, _, line in lines]
    return Reply(blocks=(Lines(lines=[text for _, text, _ in lines]), *notes), ending=Ending.OK, values=shown)


def _page(context: Context, result: Result, prefix: str) -> list[tuple[datetime, str, ShownLine]]:
    lines = []
    at, ref = _EPOCH, targets.target_of_result(result)
    for line in result.value.lines:
        # The time never goes back within one container, so that its lines keep their order.
        at = max(at, _when(line) or at)
        if context.args["stderr"] and line.stream != "stderr":
            continue
        stamp = f"{line.at} " if context.args["timestamps"] else ""
        shown = ShownLine(target=ref, engine=ref.engine, at=line.at, stream=line.stream, text=line.text)
        lines.append((at, f"{prefix}{stamp}{line.text}", shown))
    return lines


def _when(line: LogLine) -> datetime | None:
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", line.at))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _dropped(label: str, result: Result) -> str:
    page, action = result.value, result.action
    assert isinstance(action, ReadLogs)
    left_out = f"{label}: {formatting.count(page.dropped, 'older line')} left out"
    if len(page.lines) < action.tail:
        limit = f"{action.max_characters / (1 << 20):.3g} MiB"
        return f"{left_out}, because a reply shows at most {limit} of this log. Name fewer containers, or give --since."
    return f"{left_out}; --tail 1000 shows more."


def _no_lines(context: Context, labels: Sequence[str]) -> str:
    names = ", ".join(labels)
    what = "nothing to stderr" if context.args["stderr"] else "nothing"
    since = context.args["since"]
    when = f" in the last {formatting.span(since.total_seconds())}" if since else ""
    return f"{names} wrote {what}{when}."
