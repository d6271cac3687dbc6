"""Tracks the times in which the events of one engine were not received, and reports each of them once, as a Gap.

A gap begins when an open stream is lost, when events are dropped or cannot be decoded, or before the start, if an
earlier process watched the engine. It ends when the stream is open again and the containers were listed. If the stream
is lost again before that, it is the same gap. Its recovery is REPLAYED only if three facts prove that no event is
missing: the engine stores its events in order, it sent an event from before the gap again, and the list shows no change
without an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.lazy_dataclass import dataclass
from core.model.events import Event, Origin
from core.model.gaps import Gap, GapReason, Recovery
from core.model.refs import EngineRef

_REPLAY = Origin.REPLAY


@dataclass(slots=True, kw_only=True)
class _Open:
    """A gap that is not reported yet. `events_missing`: some of its events will never arrive. `unproven`: another
    process may have watched meanwhile, which is not known yet. `compared`: as for `listed`; None before it."""

    from_ns: int
    until_ns: int
    reason: GapReason
    why: str = ""
    replayed: int = 0
    resynced: int = 0
    events_missing: bool = False
    unproven: bool = False
    compared: bool | None = None


class GapTracker:
    """Tracks the gaps of one engine. `engine` returns its reference and its stable id. `report` receives each gap.
    `now_ns`: our clock."""

    def __init__(
        self, engine: Callable[[], tuple[EngineRef, str]], report: Callable[[Gap], None], now_ns: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._report = report
        self._now_ns = now_ns
        self._open: _Open | None = None
        self._stream_open = False
        self._replays = self._reached_back = False
        self._position = 0

    @property
    def all_received(self) -> bool:
        """Whether the stream is open and no gap waits to be reported."""
        return self._stream_open and self._open is None

    @property
    def unproven(self) -> bool:
        """Whether another process may have watched during the pending gap."""
        return self._open is not None and self._open.unproven

    @property
    def may_be_replayed(self) -> bool:
        """Whether a gap is pending whose events the engine may still send."""
        return self._open is not None and self._replays and not self._reached_back and not self._open.events_missing

    def not_watched(self, since_ns: int, *, unproven: bool) -> None:
        """Begins the gap before this process. `since_ns`: when an earlier process was last known to watch."""
        if self._open is None:
            reason = GapReason.NOT_WATCHED
            self._open = _Open(from_ns=since_ns, until_ns=since_ns, reason=reason, unproven=unproven)

    def decide_unproven(self, *, watched: bool) -> None:
        """`watched`: whether another process watched during the gap, which is then none."""
        if self._open is not None and self._open.unproven:
            self._open.unproven = False
            if watched:
                self._open = None
            elif self._open.compared is not None:
                self.listed(compared=self._open.compared)

    def stream_lost(self, since_ns: int, why: str) -> None:
        """Begins a gap, if the stream was open. `since_ns`: when the engine was last known to send its events."""
        if self._stream_open and self._open is None:
            self._open = _Open(from_ns=since_ns, until_ns=since_ns, reason=GapReason.STREAM_LOST)
        if self._open is not None and why:
            self._open.why = why
        if self._open is not None:
            self._open.compared = None
        self._stream_open = False

    def stream_opened(self, position_ns: int, *, replays: bool) -> None:
        """`position_ns`: the time of the newest event that was processed. `replays`: whether the engine sends past
        events in the order in which it stored them."""
        self._stream_open = True
        self._position, self._replays, self._reached_back = position_ns, replays, False
        if self._open is not None:
            self._open.until_ns = max(self._open.until_ns, self._now_ns())

    def events_lost(self, reason: GapReason, from_ns: int, until_ns: int) -> None:
        """Begins a gap in an open stream, or extends the pending one."""
        if self._open is None:
            self._open = _Open(from_ns=from_ns, until_ns=from_ns, reason=reason)
        self._open.events_missing = True
        self._open.until_ns = max(self._open.until_ns, until_ns)

    def received(self, batch: Sequence[Event]) -> None:
        """Takes a batch that may have replayed events, before repeated events are left out."""
        if self._replays and not self._reached_back:
            position = self._position
            self._reached_back = any(event.origin is _REPLAY and event.at_ns <= position for event in batch)

    def replayed(self, number: int) -> None:
        """Counts replayed events that were not processed before."""
        if self._open is not None:
            self._open.replayed += number

    def resynced(self, number: int) -> None:
        """Counts changes that only a list showed."""
        if self._open is not None:
            self._open.resynced += number

    def listed(self, *, compared: bool) -> None:
        """Ends and reports the pending gap, if the stream is open. `compared`: whether the list was compared with what
        the engine had before the gap."""
        gap = self._open
        if gap is None or not self._stream_open:
            return
        if gap.unproven:
            gap.compared = compared
            return
        self._open = None
        complete = self._reached_back and not gap.events_missing and not gap.resynced
        recovery = Recovery.REPLAYED if complete else Recovery.RESYNCED if compared else Recovery.LOST
        ref, engine_id = self._engine()
        self._report(
            Gap(
                engine=ref,
                engine_id=engine_id,
                from_ns=gap.from_ns,
                until_ns=max(gap.from_ns, gap.until_ns),
                reason=gap.reason,
                recovery=recovery,
                why=gap.why,
                replayed=gap.replayed,
                resynced=gap.resynced,
            )
        )
