"""Stores the events of one engine in the history: only events about the life of containers, images, services and the
like.

Events wait in memory and are written together, at most once a second. If the store does not accept them, they continue
to wait. If too many wait, the oldest are dropped and counted. When the process stops, the waiting events are written
once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from core import errors
from core.model.end_causes import CauseKind
from core.model.events import LIFECYCLE_TYPES, Event, EventKind, is_lifecycle
from core.repeated_log import RepeatedLog
from core.store.records import StoredEvent, engine_key
from runtimes.inventory import event_rows

log = structlog.get_logger()

MAX_WAITING = 5_000  # events
MAX_WRITTEN = 250  # events in one write: the store does nothing else meanwhile, for 8 to 50 ms
WRITE_SECONDS = 1.0  # between two writes
LAST_WRITE_SECONDS = 2.0
REQUESTED = frozenset({CauseKind.REQUESTED, CauseKind.REPLACED})
# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_OTHER = EventKind.OTHER


class EventWriter(Protocol):
    """What stores events; the same ones may be stored again."""

    async def record_events(self, events: Iterable[StoredEvent], /, *, lost: int, lost_until_us: int) -> int: ...

    async def take_own_changes(self, engine: str, containers: Sequence[str], /) -> dict[str, bytes]: ...


class EventRecorder:
    """Stores the events of one engine. `engine_id`: its id, empty before the first contact. `count_lost` is called with
    the number of events that were dropped."""

    def __init__(
        self,
        store: EventWriter,
        engine_id: Callable[[], str],
        count_lost: Callable[[int], None],
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._engine_id = engine_id
        self._count_lost = count_lost
        self._now_ns = now_ns
        self._waiting: deque[Event] = deque()
        self._lost, self._lost_until_ns = 0, 0
        self._due = asyncio.Event()
        self._repeated_log = RepeatedLog()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, events: Iterable[Event]) -> None:
        """Takes events in the engine's order, also an end again once its cause is known. Does not wait."""
        # This runs for every event, and most of those that are left out are of two kinds.
        found = [
            event
            for event in events
            if event.kind is not _OTHER or (event.type in LIFECYCLE_TYPES and is_lifecycle(event))
        ]
        if not found:
            return
        self._waiting.extend(found)
        self._drop_excess()
        self._due.set()

    async def run(self) -> None:
        """Writes until it is cancelled, and then once more."""
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                await self.write()
                await asyncio.sleep(WRITE_SECONDS)
        finally:
            if self._waiting:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WRITE_SECONDS):
                        await self.write()

    async def write(self) -> None:
        """Writes the oldest of what waits. What the store does not accept waits on."""
        engine_id, now = self._engine_id(), self._now_ns()
        if not engine_id or not self._waiting:
            return
        taken = [self._waiting.popleft() for _ in range(min(MAX_WRITTEN, len(self._waiting)))]
        lost, until_us, stored = self._lost, min(self._lost_until_ns, now) // 1000, False
        rows = [event_rows.to_stored(event, engine_id, now) for event in taken if is_lifecycle(event)]
        try:
            if rows or lost:
                rows = await self._with_requesters(_newest_knowledge(rows), engine_id)
                await self._store.record_events(rows, lost=lost, lost_until_us=until_us)
            stored = True
        except errors.StoreError as error:
            if times := self._repeated_log.due(error.message):
                log.warning("Events could not be stored yet.", engine_id=engine_id, reason=error.message, times=times)
        finally:
            if stored:
                self._lost -= lost
            else:
                self._waiting.extendleft(reversed(taken))
                self._drop_excess()
            if self._waiting:
                self._due.set()
        if stored and self._repeated_log.ended():
            log.info("The waiting events were stored.")

    async def _with_requesters(self, rows: Sequence[StoredEvent], engine_id: str) -> list[StoredEvent]:
        """Adds who requested an end through a process that does not watch this engine, such as a single command."""
        asked = [row.subject_id for row in rows if row.attrs.get("cause") in REQUESTED and "cause_by" not in row.attrs]
        calls = await self._store.take_own_changes(engine_key(engine_id), asked) if asked else {}
        return [
            event_rows.with_requester(row, calls[row.subject_id])
            if row.subject_id in calls and row.attrs.get("cause") in REQUESTED
            else row
            for row in rows
        ]

    def _drop_excess(self) -> None:
        if (excess := len(self._waiting) - MAX_WAITING) > 0:
            dropped = [self._waiting.popleft() for _ in range(excess)]
            self._lost += excess
            self._lost_until_ns = max(self._lost_until_ns, *(event.at_ns for event in dropped))
            self._count_lost(excess)


def _newest_knowledge(rows: Sequence[StoredEvent]) -> list[StoredEvent]:
    """Each event once: as it is known with its cause."""
    best: dict[tuple[str, ...], StoredEvent] = {}
    for row in rows:
        identity = (row.at_ns, row.type, row.action, row.subject_id)
        if identity not in best or row.known > best[identity].known:
            best[identity] = row
    return list(best.values())
