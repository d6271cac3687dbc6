"""The queue between the task that reads a stream and the rest: batches in, the same batches out in order.

Bounded by the events it holds; a batch that does not fit is refused, and the reader says what was lost. Whoever ends
the stream closes it, with the reason; what came before is still taken out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from core import errors
from core.model.events import Event

WAITING_EVENTS = 32_768


class EventQueue:
    """`filled` is set when there is a batch or the end; the taker clears it."""

    def __init__(self) -> None:
        self.batches: deque[Sequence[Event]] = deque()
        self.filled = asyncio.Event()
        self.closed = False
        self.reason: errors.QuarterdeckError | None = None
        self._held = 0

    def put(self, batch: Sequence[Event]) -> bool:
        if self._held and self._held + len(batch) > WAITING_EVENTS:
            return False
        self._held += len(batch)
        self.batches.append(batch)
        self.filled.set()
        return True

    def take(self) -> Sequence[Event]:
        batch = self.batches.popleft()
        self._held -= len(batch)
        return batch

    def close(self, reason: errors.QuarterdeckError | None) -> None:
        if not self.closed:
            self.closed, self.reason = True, reason
            self.filled.set()
