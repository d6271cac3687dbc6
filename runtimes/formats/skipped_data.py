"""Counts and logs the data of one engine that could not be decoded and was skipped.

A line in the log appears when the reason changes, at most once a minute, and otherwise once an hour. Each line has the
number of values that were skipped since the last line.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog

from core.lazy_dataclass import dataclass

log = structlog.get_logger(__name__)

EVENT, ROW, FIELD, LINE = "event", "row", "field", "line"
"""What can be left out: an event, a row of a list, a part of one of them, or a line of progress or of a log."""
MIN_SECONDS, REPEAT_SECONDS = 60.0, 3600.0
MAX_REASON = 200  # characters


class SkippedDataCounter:
    """Counts by EVENT, ROW, FIELD and LINE. `engine` returns the engine's name for the log. `listener` receives what
    was left out, and how many."""

    def __init__(self, engine: Callable[[], str], *, now: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self.listener: Callable[[str, int], None] = lambda what, number: None
        self.engine, self._now = engine, now
        self._logged: dict[str, _Logged] = {}

    def add_long_line(self) -> None:
        """Counts a line of a stream that was too long to be read; in a stream of events, it was an event."""
        self.add(EVENT, "a line has more than 1 MiB")

    def add(self, what: str, reason: str, number: int = 1) -> None:
        """`reason`: why it could not be decoded, without data of the engine that may be secret."""
        self.counts[what] += number
        self.listener(what, number)
        last = self._logged.get(what)
        wait = MIN_SECONDS if last is None or last.reason != reason else REPEAT_SECONDS
        if last is not None and self._now() - last.at < wait:
            return
        self._logged[what] = _Logged(self._now(), self.counts[what], reason)
        log.warning(
            "Data from the engine could not be decoded and was left out.",
            engine=self.engine(),
            what=what,
            number=self.counts[what] - (last.count if last is not None else 0),
            reason=reason[:MAX_REASON],
        )


class Tally(SkippedDataCounter):
    """Counts in `own` what was left out of one answer, and passes it on to the counts of its engine."""

    def __init__(self, whole: SkippedDataCounter) -> None:
        super().__init__(whole.engine)
        self.own: Counter[str] = Counter()
        self._whole = whole

    def add(self, what: str, reason: str, number: int = 1) -> None:
        self.own[what] += number
        self._whole.add(what, reason, number)


@dataclass(frozen=True, slots=True)
class _Logged:
    """The last line in the log about one kind of data."""

    at: float
    count: int
    reason: str
