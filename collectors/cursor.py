"""Tracks the position in one engine's events, and saves it in the store so that a restarted process resumes there.

The position is the time of the newest processed event, by the engine's own clock. If the store fails, Quarterdeck
continues to watch but does not save the position. If no position is stored, the start counts as the very first one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from core import errors

log = structlog.get_logger()
STORE_TIMEOUT_SECONDS = 2.0


class Cursors(Protocol):
    """Stores positions by the engine's id, in nanoseconds since the epoch."""

    async def cursor(self, engine: str, /) -> int | None: ...

    async def put_cursor(self, engine: str, at_ns: int, /) -> None: ...


class Cursor:
    """Tracks the position of one engine.

    `stored`: the position that the store had when this process started. `newest`: the time of the newest processed
    event, 0 before the first event.
    """

    def __init__(self, cursors: Cursors, now_ns: Callable[[], int]) -> None:
        self._cursors = cursors
        self._now_ns = now_ns
        self._started: int | None = None
        self._saved: int | None = None
        self._store_down = False
        self.engine = ""
        self.stored: int | None = None
        self.newest = 0

    @property
    def position(self) -> int | None:
        """The time from which events are missing: the newest event, or the moment of the very first subscription."""
        return self.newest or self._started

    def resume_from(self, overlap_ns: int) -> int | None:
        """The time to subscribe from: a little before the position, but never before the very first subscription."""
        if self.position is None:
            return None
        return max(min(self.position, self._now_ns()) - overlap_ns, self._started or 0)

    def start(self) -> int:
        """Records that the very first stream is open now, by this process' clock."""
        if self._started is None:
            self._started = self._now_ns()
        return self._started

    def advance(self, at_ns: int) -> bool:
        """Moves to `at_ns`; False if the cursor is there or further already."""
        if at_ns <= self.newest:
            return False
        if self._started is not None:
            self._started = min(self._started, at_ns)  # the engine's clock may be behind this process'
        self.newest = at_ns
        return True

    async def load(self, engine: str) -> None:
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                self.stored = self._saved = await self._cursors.cursor(engine)
        except (errors.StoreError, TimeoutError) as error:
            self._store_failed(error)
        self.engine, self.newest = engine, self.stored or 0

    async def save(self) -> None:
        position = self.position
        if position is None or position == self._saved or not self.engine:
            return
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                await self._cursors.put_cursor(self.engine, position)
        except (errors.StoreError, TimeoutError) as error:
            self._store_failed(error)
            return
        self._saved = position
        if self._store_down:
            self._store_down = False
            log.info("The event cursor was saved again.", engine_id=self.engine)

    def _store_failed(self, error: Exception) -> None:
        if not self._store_down:
            self._store_down = True
            log.warning(
                "The event cursor could not be read or saved; watching continues.",
                engine_id=self.engine,
                reason=str(error),
            )
