"""Queues the messages to one place and sends them one after the other: the most urgent first, then in the order of
their arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import heapq
import itertools
from collections.abc import AsyncIterator
from dataclasses import field

from core.lazy_dataclass import dataclass


class Priority(enum.IntEnum):
    """How urgent a message is. CRITICAL: somebody must act now. REPLY: somebody waits for it. INFO: everything else."""

    CRITICAL = 0
    REPLY = 1
    INFO = 2


class PriorityLock:
    """A lock that the most urgent waiter gets next."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    @contextlib.asynccontextmanager
    async def turn(self, priority: Priority) -> AsyncIterator[None]:
        """Waits for the lock, and holds it inside the context."""
        await self._acquire(priority)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, priority: Priority) -> None:
        if not self._held:
            self._held = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (int(priority), next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the lock was handed over at this very moment
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)  # the lock stays held, by the next one
                return
        self._held = False


@dataclass(slots=True)
class Lane:
    """The queue of a channel's new messages, or of one message's edits. `newest`: the edit that is wanted. `users`:
    tasks that wait in it or send. `pacing`: waits for the turn of the edit that is next."""

    lock: PriorityLock = field(default_factory=PriorityLock)
    next_send_at: float = 0.0
    newest: object = None
    users: int = 0
    pacing: asyncio.Task[None] | None = None

    def replace_waiting(self, newest: object) -> None:
        """Makes this the edit that is wanted. An older one that waits for Slack's pace gives way."""
        self.newest = newest
        if self.pacing is not None:
            self.pacing.cancel()
