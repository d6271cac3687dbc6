"""Handles Slack's rate limits: after a 429, all calls of that Web API method wait, then run one by one for a while.

If all waiting calls ran at once after the pause, Slack would refuse most of them again. In the end, their retries would
be used up and the messages lost. Slack limits some methods per channel or per URL. For those there is no
MethodThrottle: only the refused call waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import field

from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler, AsyncServerErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

from bot.slack import post_delivery_state
from core.lazy_dataclass import dataclass

PARALLEL_AFTER_SECONDS = 60.0  # after a pause has ended, until calls run in parallel again


@dataclass(slots=True)
class MethodThrottle:
    """Delays the calls of one method until `opens_at` (loop time). The holder of `lock` runs first, the others in order
    of arrival."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    opens_at: float = float("-inf")

    def recently_throttled(self) -> bool:
        return _now() - self.opens_at < PARALLEL_AFTER_SECONDS


@dataclass(slots=True)
class _Turn:
    """Holds the turn of one call."""

    throttle: MethodThrottle | None
    holds: bool = False

    async def wait(self) -> None:
        if self.throttle is None:
            return
        if not self.holds:
            await self.throttle.lock.acquire()
            self.holds = True
        while (left := self.throttle.opens_at - _now()) > 0.001:  # noqa: ASYNC110 (the pause may be extended during the sleep)
            await asyncio.sleep(left)


_current_turn: contextvars.ContextVar[_Turn | None] = contextvars.ContextVar("slack_turn", default=None)


@contextlib.asynccontextmanager
async def turn(throttle: MethodThrottle | None) -> AsyncIterator[None]:
    """Wraps one call with its retries. The call starts at once, or in turn if its method was throttled recently."""
    this_turn = _Turn(throttle)
    token = _current_turn.set(this_turn)
    try:
        if throttle is not None and throttle.recently_throttled():
            await this_turn.wait()
        yield
    finally:
        _current_turn.reset(token)
        if throttle is not None and this_turn.holds:
            throttle.lock.release()


class ThrottledRetry(AsyncRateLimitErrorRetryHandler):
    """Retries a call after a 429, once its pause is over. `count` is called with the URL each time."""

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
        post_delivery_state.refused()
        pause = _retry_after_seconds(response) + random.random()  # noqa: S311 (jitter, not a secret)
        this_turn = _current_turn.get()
        if this_turn is None or this_turn.throttle is None:
            await asyncio.sleep(pause)
        else:
            this_turn.throttle.opens_at = max(this_turn.throttle.opens_at, _now() + pause)
            await this_turn.wait()
        post_delivery_state.sending()
        state.next_attempt_requested = True
        state.increment_current_attempt()


class ServerErrorRetry(AsyncServerErrorRetryHandler):
    """Retries a call after any 5xx, also one that a proxy between Quarterdeck and Slack sends."""

    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        return response is not None and response.status_code >= 500


def _retry_after_seconds(response: HttpResponse | None) -> float:
    """The pause that Slack asks for; one second if it does not say how long."""
    for name, value in (response.headers if response is not None else {}).items():
        if name.lower() == "retry-after":
            with contextlib.suppress(ValueError, IndexError):
                return max(0.0, float(value if isinstance(value, str) else value[0]))
    return 1.0


def _now() -> float:
    return asyncio.get_running_loop().time()
