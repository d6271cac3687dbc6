"""When Slack says 429: all calls of that method wait as long as it asks, then they go one by one for a while.

If all went at once when the time is over, most would be turned away again, until their tries are used up and their
replies are lost. What Slack counts for each channel or each URL has no gate: there the one call waits, nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler, AsyncServerErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

CALM = 60.0  # seconds after a gate opened until calls go side by side again


@dataclass(slots=True)
class Gate:
    """Closed until `free_at` (loop time); who holds `lock` goes first, the others in the order they came."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = float("-inf")

    def is_calm(self) -> bool:
        return _now() - self.free_at >= CALM


@dataclass(slots=True)
class _Visit:
    """One call on its way through its gate."""

    gate: Gate | None
    holds: bool = False

    async def wait(self) -> None:
        if self.gate is None:
            return
        if not self.holds:
            await self.gate.lock.acquire()
            self.holds = True
        while (left := self.gate.free_at - _now()) > 0.001:  # noqa: ASYNC110 (it may be closed for longer meanwhile)
            await asyncio.sleep(left)


_visit: contextvars.ContextVar[_Visit | None] = contextvars.ContextVar("visit", default=None)


@contextlib.asynccontextmanager
async def turn(gate: Gate | None) -> AsyncIterator[None]:
    """One call with its retries: at once, or in turn where Slack has asked for patience of late."""
    visit = _Visit(gate)
    token = _visit.set(visit)
    try:
        if gate is not None and not gate.is_calm():
            await visit.wait()
        yield
    finally:
        _visit.reset(token)
        if gate is not None and visit.holds:
            gate.lock.release()


class Throttled(AsyncRateLimitErrorRetryHandler):
    """`count` is told the URL each time Slack asks us to wait."""

    def __init__(self, tries: int, count: Callable[[str], object]) -> None:
        super().__init__(max_retry_count=tries)
        self._count = count

    async def prepare_for_next_attempt_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        self._count(request.url or "")
        pause = _asked(response) + random.random()  # noqa: S311 (jitter, not a secret)
        visit = _visit.get()
        if visit is None or visit.gate is None:
            await asyncio.sleep(pause)
        else:
            visit.gate.free_at = max(visit.gate.free_at, _now() + pause)
            await visit.wait()
        state.next_attempt_requested = True
        state.increment_current_attempt()


class Failing(AsyncServerErrorRetryHandler):
    """Every 5xx, also those of what stands between Slack and us."""

    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        return response is not None and response.status_code >= 500


def _asked(response: HttpResponse | None) -> float:
    """Seconds; one where Slack does not say."""
    for name, value in (response.headers if response is not None else {}).items():
        if name.lower() == "retry-after":
            with contextlib.suppress(ValueError, IndexError):
                return max(0.0, float(value if isinstance(value, str) else value[0]))
    return 1.0


def _now() -> float:
    return asyncio.get_running_loop().time()
