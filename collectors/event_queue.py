"""Queues the batches of one event stream between the task that reads it and the task that processes them, in order.

The number of queued events is limited. The queue refuses a batch that does not fit, and the reading task reports the
loss. The task that ends the stream closes the queue with the reason. Batches that were queued before the end can still
be taken out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from core import errors
from core.model.events import Event

MAX_EVENTS = 32_768


class EventQueue:
    """Holds batches in order. `filled` is set when there is a batch or the queue is closed; the consumer clears it."""

    def __init__(self) -> None:
        self.batches: deque[Sequence[Event]] = deque()
        self.filled = asyncio.Event()
        self.closed = False
        self.reason: errors.QuarterdeckError | None = None
        self._size = 0

    def put(self, batch: Sequence[Event]) -> bool:
        """Adds a batch; False if it does not fit. An empty queue accepts a batch of any size."""
        if self._size and self._size + len(batch) > MAX_EVENTS:
            return False
        self._size += len(batch)
        self.batches.append(batch)
        self.filled.set()
        return True

    def get(self) -> Sequence[Event]:
        batch = self.batches.popleft()
        self._size -= len(batch)
        return batch

    def close(self, reason: errors.QuarterdeckError | None) -> None:
        if not self.closed:
            self.closed, self.reason = True, reason
            self.filled.set()
