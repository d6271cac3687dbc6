"""Inserts separator lines between the runs of a container in its log, for `logs` and `pod logs`.

A line belongs to the first run that had not ended when the line was written. If a container has had only one run, there
is no separator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from core.model.results import LogLine, LogPage, LogRun
from core.text import run_separator_lines

MAX_GAP_NS = 1_000_000_000


def add_run_separators(page: LogPage, now_ns: int) -> Iterator[LogLine | str]:
    """Yields the lines of a page in order, and before the lines of each run its divider. `now_ns`: nanoseconds since
    the epoch."""
    runs = page.runs
    if not page.lines or not runs or (len(runs) == 1 and runs[0].number <= 1):
        yield from page.lines
        return
    ends = [_boundary(runs, at) for at in range(len(runs))]
    current = -1
    for line in page.lines:
        written = nanoseconds(line.at)
        at = max(current, 0)
        while at < len(runs) - 1 and ends[at] and written > ends[at]:
            at += 1
        if at > current:
            # The runs before the first line of the page have their lines on an earlier page.
            yield from _dividers(runs, at if current < 0 else current + 1, at, now_ns)
            current = at
        yield line
    yield from _dividers(runs, current + 1, len(runs) - 1, now_ns)


def nanoseconds(at: str) -> int:
    """Returns nanoseconds since the epoch; 0 for a text that is no time."""
    whole, _, rest = at.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if rest else ""
    try:
        moment = datetime.fromisoformat(whole + zone)
    except ValueError:
        return 0
    return int(moment.timestamp()) * 1_000_000_000 + int(digits[:9].ljust(9, "0") or 0)


def _boundary(runs: Sequence[LogRun], at: int) -> int:
    """Returns until when lines belong to this run. A new run may write before the event of its start, and the last
    line of a run may be dated after its end: half of the time between both is left for it."""
    ended = runs[at].ended_ns
    if ended and at + 1 < len(runs) and runs[at + 1].started_ns > ended:
        return ended + min(MAX_GAP_NS, (runs[at + 1].started_ns - ended) // 2)
    return ended


def _dividers(runs: Sequence[LogRun], first: int, last: int, now_ns: int) -> Iterator[str]:
    """Yields the dividers of these runs, of which only the last one has lines here. Those without lines share one."""
    if last - first > 1:
        yield run_separator_lines.empty_runs_divider(runs[first], runs[last - 1], last - first)
        first = last
    for at in range(first, last + 1):
        yield run_separator_lines.make_run_separator(runs[at], now_ns, newest=at == len(runs) - 1)
