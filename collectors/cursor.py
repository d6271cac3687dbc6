"""Tracks the position in one engine's events, and saves it in the store so that a restarted process resumes there.

The position is the time of the newest processed event, by the engine's own clock, but never more than MAX_AHEAD_NS
ahead of ours: after a restart, everything before the position counts as known. Every few seconds, the store also
gets the time until which the engine was watched, by our clock, and the containers that have changed. So a later process
knows how long nobody watched, and finds out what changed then. If the store fails, Quarterdeck continues to watch but
saves nothing. If no position is stored, the start counts as the very first one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import structlog

from collectors.saved_containers import SavedContainers
from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef
from core.store.records import WatchRecord, WatchUpdate

log = structlog.get_logger()
STORE_TIMEOUT_SECONDS = 2.0
MAX_AHEAD_NS = 60 * 1_000_000_000
"""The difference between two clocks. A position that is further ahead is wrong."""
WATCHED_EVERY_NS = 5_000_000_000
"""Between two records that the engine is watched: so much may a gap be overestimated after a crash."""
OTHERS_WATCH_NS = 2 * WATCHED_EVERY_NS
"""A watcher whose record is younger than this may still run."""


class CursorStore(Protocol):
    """Stores what is known about the watch of each engine, by the engine's id."""

    async def watch_record(self, engine: str, /) -> WatchRecord: ...

    async def update_watch(self, engine: str, update: WatchUpdate, /) -> None: ...


class Cursor:
    """Tracks the position of one engine.

    `stored`: the position that the store had when this process started. `newest`: the time of the newest processed
    event, 0 before the first event. `engine`: the id of the engine whose position was loaded.
    `now_ns`: our clock.
    """

    def __init__(self, cursors: CursorStore, now_ns: Callable[[], int], name: Callable[[], str] = str) -> None:
        """`name`: returns the engine's name for the log."""
        self._cursors = cursors
        self._name = name
        self.now_ns = now_ns
        self._watcher = secrets.token_hex(8)
        self._containers = SavedContainers()
        self._record = WatchRecord()
        self._loaded_at = now_ns()
        self._started: int | None = None
        self._saved: int | None = None
        self._watched_since = self._watched_until = 0
        self._saved_watched = 0
        self._store_down = False
        self.engine = ""
        self.stored: int | None = None
        self.newest = 0

    @property
    def position(self) -> int | None:
        """The time from which events are missing: the newest event, or the moment of the very first subscription."""
        return self._not_ahead(self.newest) or self._started

    def age_seconds(self) -> float:
        """How long ago the store recorded that the engine is watched, in seconds."""
        return (self.now_ns() - (abs(self._saved_watched) or self._loaded_at)) / 1e9

    def resume_from(self, overlap_ns: int) -> int | None:
        """The time to subscribe from: a little before the position, but never before the very first subscription."""
        if self.position is None:
            return None
        return max(min(self.position, self.now_ns()) - overlap_ns, self._started or 0)

    def start(self) -> int:
        """Records that the very first stream is open now, by this process' clock."""
        if self._started is None:
            self._started = self.now_ns()
        return self._started

    def advance(self, at_ns: int) -> bool:
        """Moves to `at_ns`; False if the cursor is there or further already."""
        if at_ns <= self.newest:
            return False
        if self._started is not None:
            self._started = min(self._started, at_ns)  # the engine's clock may be behind this process'
        self.newest = at_ns
        return True

    # ── before this process ──────────────────────────────────────────────────────────────────────────────────────

    async def load(self, engine: str) -> None:
        self._loaded_at, self._record = self.now_ns(), WatchRecord()
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                self._record = await self._cursors.watch_record(engine)
        except (errors.StoreError, TimeoutError) as error:
            self._store_failed(error)
        self._saved = self._record.cursor
        self.stored = None if self._saved is None else self._not_ahead(self._saved)
        self.engine, self.newest = engine, self.stored or 0

    def saved_containers(self, engine: EngineRef) -> list[Container]:
        """Returns the containers that the engine had when it was last watched, as far as they were saved."""
        return self._containers.load(self._record.containers, engine)

    @property
    def recent(self) -> bytes:
        """Which events near the position other processes have processed."""
        return self._record.recent

    @property
    def unwatched_since(self) -> int | None:
        """Until when other processes watched, as far as the store knows; None if the engine was never watched."""
        if self.stored is None:
            return None
        return max(map(abs, self._record.watched.values()), default=self.stored)

    @property
    def containers_known(self) -> bool:
        """Whether an earlier process has saved the containers of the engine."""
        return bool(self._record.watched)

    @property
    def others_may_watch(self) -> bool:
        """Whether another process may have watched when this one began."""
        return any(at > self._loaded_at - OTHERS_WATCH_NS for at in self._record.watched.values())

    def others_known(self) -> bool:
        """Whether so much time has passed that `others_watched` is decided."""
        return self.now_ns() - self._loaded_at > OTHERS_WATCH_NS

    async def others_watched(self) -> bool:
        """Returns whether another process has watched since this one began."""
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                now = await self._cursors.watch_record(self.engine)
        except (errors.StoreError, TimeoutError) as error:
            self._store_failed(error)
            return False
        before = self._record.watched
        return any(abs(at) > abs(before.get(each, 0)) for each, at in now.watched.items() if each != self._watcher)

    # ── saving ───────────────────────────────────────────────────────────────────────────────────────────────────

    def watched(self) -> None:
        """Records that every event until now has arrived, or was reported as a gap."""
        self._watched_until = self.now_ns()
        self._watched_since = self._watched_since or self._watched_until

    async def save(
        self, containers: Mapping[str, Container] | None, recent: Callable[[], bytes], *, ended: bool = False
    ) -> bool:
        """Saves what has changed, and returns whether the store has everything then. `containers`: all containers of
        the engine; None if they have not changed. `recent`: encodes the events near the position. `ended`: this watcher
        stops."""
        changes = self._containers.changes(containers)
        position = self.position if self.position != self._saved else None
        until = self._watched_until
        watched = (-until if ended else until) if until and (ended or self._is_due(until)) else None
        if not self.engine or (position is None and watched is None and not changes):
            return True
        update = WatchUpdate(
            watcher=self._watcher,
            cursor=position,
            recent=b"" if position is None else recent(),
            watched=watched,
            forgotten=self._stale() if watched is not None and not self._saved_watched else (),
            changed=changes.changed,
            removed=changes.removed,
            began=self._watched_since,
        )
        complete = True
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                try:
                    await self._cursors.update_watch(self.engine, update)
                    self._containers.saved(changes)
                except errors.StoreFull:
                    complete = False
                    await self._cursors.update_watch(self.engine, replace(update, changed={}))
        except (errors.StoreError, TimeoutError) as error:
            self._store_failed(error)
            return False
        if position is not None:
            self._saved = position
        if watched is not None:
            self._saved_watched = watched
        if self._store_down:
            self._store_down = False
            log.info("The position in the engine's events was saved again.", engine=self._name())
        return complete

    def _is_due(self, until: int) -> bool:
        return until - max(self._saved_watched, 0) >= WATCHED_EVERY_NS

    def _stale(self) -> list[str]:
        """Returns the watchers that ended before this one began. The gap after them was reported."""
        return [each for each, at in self._record.watched.items() if at <= self._loaded_at - OTHERS_WATCH_NS]

    def _not_ahead(self, at_ns: int) -> int:
        now = self.now_ns()
        return at_ns if at_ns <= now + MAX_AHEAD_NS else now

    def _store_failed(self, error: Exception) -> None:
        if not self._store_down:
            self._store_down = True
            log.warning(
                "The position in the engine's events could not be read or saved. The engine is still watched.",
                engine=self._name(),
                reason=str(error) or "the store did not answer in time",
            )
