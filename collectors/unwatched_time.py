"""Finds a time in which no process watched any engine, and reports it as an event of Quarterdeck itself.

The store has the last time at which any process watched. This process knows since when it has watched without a break.
Between these two times, nobody watched. A time in which only the store did not answer does not count, because this
process watched.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

ACTION = "not-watched"
FROM, UNTIL = "from_ns", "until_ns"
MIN_SECONDS = 120.0  # a restart or an update of Quarterdeck takes less
MAX_PAUSE_SECONDS = 30.0  # between two calls, after which this process was asleep or hung
SECOND = 1_000_000_000


class UnwatchedTimeFinder:
    """Holds since when this process watches. `now`: seconds since the epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._since = 0.0
        self._last = 0.0

    @property
    def watching(self) -> bool:
        return self._since > 0

    def note(self, *, watching: bool) -> None:
        """Takes whether an engine is watched at this moment. Call it every second."""
        now = self._now()
        if not watching:
            self._since = 0.0
        elif not self._since or now - self._last > MAX_PAUSE_SECONDS or now < self._last:
            self._since = now
        self._last = now

    def event(self, engine: EngineRef, seconds_ago: float) -> Event | None:
        """Returns an event if nobody watched for a while before this process began. `engine`: Quarterdeck itself.
        `seconds_ago`: when any process watched last; 0 if that is not known."""
        now = self._now()
        began, ended = now - seconds_ago, self._since
        if not self.watching or not seconds_ago or ended - began < MIN_SECONDS:
            return None
        subject = Ref(engine=engine, kind=Kind.BOT, id="quarterdeck", name="quarterdeck")
        attrs = {FROM: str(int(began * SECOND)), UNTIL: str(int(ended * SECOND))}
        return Event(int(now * SECOND), EventKind.OTHER, subject, Origin.LIVE, "bot", ACTION, attrs)
