"""Our place in one engine's events, kept in the store so that a restarted process goes on where it was.

The place is the engine's own time of the newest event handed on. Keeping it is best effort: without the store watching
goes on, and a start without it counts as the very first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from core import errors

log = structlog.get_logger()
PATIENCE = 2.0


class Cursors(Protocol):
    """Where places are kept, by the engine's id; nanoseconds since the epoch."""

    async def cursor(self, engine: str, /) -> int | None: ...

    async def put_cursor(self, engine: str, at_ns: int, /) -> None: ...


class Cursor:
    """`kept`: what the store had when this process began. `heard`: the time of the newest event known, 0 for none."""

    def __init__(self, cursors: Cursors, now_ns: Callable[[], int]) -> None:
        self._cursors = cursors
        self._now_ns = now_ns
        self._began: int | None = None
        self._saved: int | None = None
        self._store_down = False
        self.engine = ""
        self.kept: int | None = None
        self.heard = 0

    @property
    def point(self) -> int | None:
        """From when on we want to be told: the newest event, or the moment of the very first subscription."""
        return self.heard or self._began

    def resume(self, overlap_ns: int) -> int | None:
        """From when on to subscribe: a little before our place, but on a first start never before its beginning."""
        if self.point is None:
            return None
        return max(min(self.point, self._now_ns()) - overlap_ns, self._began or 0)

    def begin(self) -> int:
        """The very first stream stands, at this moment of our own clock."""
        if self._began is None:
            self._began = self._now_ns()
        return self._began

    def move(self, at_ns: int) -> bool:
        """Moves on to `at_ns`; False if we have been there."""
        if at_ns <= self.heard:
            return False
        if self._began is not None:
            self._began = min(self._began, at_ns)  # the engine's clock may be behind ours
        self.heard = at_ns
        return True

    async def load(self, engine: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                self.kept = self._saved = await self._cursors.cursor(engine)
        except (errors.StoreError, TimeoutError) as error:
            self._failed(error)
        self.engine, self.heard = engine, self.kept or 0

    async def save(self) -> None:
        point = self.point
        if point is None or point == self._saved or not self.engine:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._cursors.put_cursor(self.engine, point)
        except (errors.StoreError, TimeoutError) as error:
            self._failed(error)
            return
        self._saved = point
        if self._store_down:
            self._store_down = False
            log.info("The store keeps our place in the events again.", engine_id=self.engine)

    def _failed(self, error: Exception) -> None:
        if not self._store_down:
            self._store_down = True
            log.warning(
                "The store does not keep our place in the events; watching goes on.",
                engine_id=self.engine,
                reason=str(error),
            )
