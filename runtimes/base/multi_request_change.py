"""Runs one change that needs several requests, with one deadline for all of them and one record of the sent requests.

If an answer is lost before the first changing request was sent, nothing was changed (`sent` is False). If an answer is
lost later, nobody knows how much was changed: `sent` is True, and the outcome is UNKNOWN. A refusal by the engine is an
answer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Iterator
from typing import TypeVar

from core import errors
from core.model.replies import Status
from core.model.results import Outcome

R = TypeVar("R")
NO_ANSWER = (errors.Unreachable, errors.TimedOut, errors.InvalidResponse)
MIN_SECONDS = 0.05  # a request is always given this long, so that it fails by itself with its own error


@contextlib.contextmanager
def report_done(done: str, *, changed: bool = True) -> Iterator[None]:
    """Lets an error of the engine say what was done before it. `done`: such as “web.service is enabled”; `changed`:
    False if nothing was done."""
    try:
        yield
    except errors.EngineError as error:
        if not changed:
            raise
        kind = next((each for each in NO_ANSWER if isinstance(error, each)), errors.EngineError)
        raise kind(f"{done}, and then: {error.message}", sent=True, hint=error.hint) from error


class MultiRequestChange:
    """Awaits the requests of one change. `seconds`: the time for all of them together."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        self.changed = False

    @property
    def seconds_left(self) -> float:
        return max(MIN_SECONDS, self._deadline - time.monotonic())

    def extend(self, seconds: float) -> None:
        """Gives the requests that follow this many seconds from now."""
        self._deadline = time.monotonic() + seconds

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
        except NO_ANSWER as error:
            raise error.with_sent(self.changed) from error

    async def change(self, request: Awaitable[R]) -> R:
        """Awaits a request that changes something."""
        try:
            result = await request
        except NO_ANSWER as error:
            raise error.with_sent(error.sent or self.changed) from error
        self.changed = True
        return result

    def done(self, detail: str = "", *, killed: tuple[str, ...] = ()) -> Outcome:
        return Outcome(status=Status.DONE, detail=detail, took=self.seconds_taken, killed=killed)

    def noop(self, detail: str) -> Outcome:
        return Outcome(status=Status.NOOP, detail=detail, took=self.seconds_taken)
