"""How fast and how patient a watch is: one value for the stream, the lists and the inspections of an engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All in seconds."""

    first_pause: float = 0.2
    """Before another attempt. The most it may be doubles with every failure; chance picks between this and that."""
    longest_pause: float = 30.0
    healthy_after: float = 60.0
    """A stream that stood this long was healthy: the next pause is short again."""
    stands_within: float = 15.0
    overlap: float = 1.0
    replay_first: float = 0.05
    """After a resumed stream stands: time for the engine to send what it remembers before we ask for the list."""
    relist_every: float = 300.0
    silent_for: float = 45.0
    """Docker sends no pings: a stream silent for this long is doubted, and a list tells whether the engine is there."""
    forced_relist_gap: float = 1.0
    patience: float = 10.0
    describe_patience: float = 30.0
    settle: float = 0.25
    """Facts of a list get this long to arrive as events, before they count as never told."""
    describe_window: float = 0.05
    describe_again: float = 1.0
    cursor_every: float = 1.0
    absent_for: float = 0.5
    """Between looks whether an engine that was none has become one."""
