"""Runs one change that needs several requests, with one deadline for all of them and one record of what was sent.

If a request fails before the first changing request was sent, nothing was changed (`sent` is False). After that, an
unknown part of the change was done: every later failure has `sent` True, and the outcome is UNKNOWN.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TypeVar

from core import errors
from core.model.replies import Status
from core.model.results import Outcome

R = TypeVar("R")
MIN_SECONDS = 0.05  # a request is always given this long, so that it fails by itself with its own error


class MultiRequestChange:
    """Awaits the requests of one change. `seconds`: the time for all of them together."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        self.changed = False

    @property
    def seconds_left(self) -> float:
        return max(MIN_SECONDS, self._deadline - time.monotonic())

    @property
    def expired(self) -> bool:
        return self._deadline - time.monotonic() <= MIN_SECONDS

    @property
    def seconds_taken(self) -> float:
        return time.monotonic() - self._began

    async def read(self, request: Awaitable[R]) -> R:
        """Awaits a request that changes nothing itself."""
        try:
            return await request
        except (errors.Unreachable, errors.TimedOut, errors.InvalidResponse) as error:
            error.sent = self.changed
            raise

    async def change(self, request: Awaitable[R]) -> R:
        """Awaits a request that changes something."""
        try:
            result = await request
        except errors.InvalidResponse as error:
            error.sent = True  # the engine received the request: it sent a response
            raise
        except (errors.Unreachable, errors.TimedOut) as error:
            error.sent = error.sent or self.changed
            raise
        self.changed = True
        return result

    def done(self, detail: str = "") -> Outcome:
        return Outcome(status=Status.DONE, detail=detail, took=self.seconds_taken)

    def noop(self, detail: str) -> Outcome:
        return Outcome(status=Status.NOOP, detail=detail, took=self.seconds_taken)
