"""Sets the intervals and time limits for watching one engine: for its stream, its lists and its inspections."""

from __future__ import annotations

from core.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTiming:
    """Holds the intervals and time limits, in seconds."""

    first_pause: float = 0.2
    """Before the next attempt to connect. The upper limit doubles with every failure, up to `max_pause`; the pause is a
    random value between this and the limit."""
    max_pause: float = 30.0
    healthy_after: float = 60.0
    """A stream that was open for this long was healthy: the next pause is short again."""
    open_timeout: float = 15.0
    overlap: float = 1.0
    """A resumed stream begins this much before the cursor: engines sort and round event times differently."""
    replay_wait: float = 0.05
    """After a resumed stream is open: time for the engine to replay its events before the first list."""
    relist_every: float = 300.0
    max_silence: float = 45.0
    """Docker sends no pings. After a silence of this length, a list checks whether the engine is reachable."""
    forced_relist_wait: float = 1.0
    list_timeout: float = 10.0
    silence_timeout: float = 3.0
    """For a list that checks whether an engine answers although its stream has failed."""
    describe_timeout: float = 30.0
    settle: float = 0.25
    """Changes that a list shows get this long to arrive as events, before they count as missed."""
    describe_wait: float = 0.05
    """One inspection is enough for a burst of events of one container."""
    describe_retry: float = 1.0
    cursor_save_every: float = 1.0
