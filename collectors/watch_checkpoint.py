"""Saves the state of the watch of one engine, so that a later process can continue it, and reads what an earlier
process saved.

It saves the position in the engine's events, which events near it were processed, the time until which all events were
received, and the engine's containers. A gap is a time in which events may be missing. While the stream is closed or a
gap is still to be reported, the saved time does not advance. So if this process dies, the next one reports the rest of
the gap. A gap from before this process started is reported only if no other process with the same store watched the
engine then.
"""

from __future__ import annotations

from collectors.cursor import Cursor
from collectors.gap_tracker import GapTracker
from collectors.repeated_events import RepeatedEvents
from collectors.watch_timing import WatchTiming
from core import shared_ticks
from core.model.refs import EngineRef
from runtimes.inventory.mirror import Mirror


class WatchCheckpoint:
    """Saves the watch of one engine. `repeats`: the events that were processed last."""

    def __init__(
        self, cursor: Cursor, gaps: GapTracker, mirror: Mirror, repeats: RepeatedEvents, *, timing: WatchTiming
    ) -> None:
        self._cursor = cursor
        self._gaps = gaps
        self._mirror = mirror
        self._repeats = repeats
        self._timing = timing
        self._saved_version: object = None

    async def load(self, engine: EngineRef, engine_id: str) -> None:
        """Reads what earlier processes have saved. The time since then is a gap."""
        await self._cursor.load(engine_id)
        self._repeats.remember(self._cursor.recent)
        self._mirror.remember(self._cursor.saved_containers(engine))
        if (until := self._cursor.unwatched_since) is not None:
            self._gaps.not_watched(until, unproven=self._cursor.others_may_watch)

    async def save_forever(self) -> None:
        while True:
            await shared_ticks.sleep_to_tick(self._timing.cursor_save_every)
            if self._gaps.unproven and self._cursor.others_known():
                self._gaps.decide_unproven(watched=await self._cursor.others_watched())
            self.watched()
            await self.save()

    def watched(self) -> None:
        """Records that all events until now were received, if they were."""
        if self._gaps.all_received:
            self._cursor.watched()

    async def save(self, *, ended: bool = False) -> None:
        version = self._mirror.reported_version
        changed = self._mirror.ever_listed and version != self._saved_version
        containers = self._mirror.reported() if changed else None
        if await self._cursor.save(containers, self._recent, ended=ended) and changed:
            self._saved_version = version

    def _recent(self) -> bytes:
        return self._repeats.digests(self._cursor.newest - int(self._timing.overlap * 1e9))
