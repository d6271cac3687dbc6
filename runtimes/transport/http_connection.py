"""One connection to an engine: a request's bytes go out, the body of its response gathers here until it is taken.

One exchange at a time, its bytes in order. What is unread is bounded: beyond that the exchange fails, loses its buffer
and its connection, or stops reading, as its opener chose. Ends are final and have one cause; what came before the end
can still be taken.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from core import errors
from runtimes.transport.endpoint import Endpoint
from runtimes.transport.http_parser import Parser

BLOCK = 64 << 10  # bytes a read takes; above 128 KiB malloc maps and unmaps each block, at half the speed
PLENTY = 32 << 10  # a read this large says the sender is ahead: resting would only let its socket fill up
LONGEST_REST = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`headers` have lower-cased names; a header sent twice is joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Full(enum.Enum):
    """What happens when more is unread than allowed."""

    FAIL = enum.auto()
    DROP = enum.auto()
    PAUSE = enum.auto()


class Goal(enum.Enum):
    """What somebody waits for."""

    HEAD = enum.auto()
    SOME = enum.auto()
    END = enum.auto()


class Connection(asyncio.BufferedProtocol):
    """One connection, one exchange at a time. Ends are final: once `ended`, nothing is added and the cause is known."""

    def __init__(self, endpoint: Endpoint, block: memoryview) -> None:
        self.endpoint = endpoint
        self._block = block
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._goal = Goal.HEAD
        self._rest = self._busy_until = 0.0
        self._parts: list[bytes] = []
        self._size = self._limit = 0
        self._full = Full.FAIL
        self._failure: errors.QuarterdeckError | None = None
        self.forget: Callable[[Connection], None] | None = None
        self.gone = asyncio.Event()
        self.parser = Parser()
        self.ended = True  # nothing under way
        self.sent = self.heard = self.cut = self.overflowed = False
        self.cause: Exception | None = None  # what the system said when the connection was lost

    async def exchange(self, payload: bytes, method: str, max_body: int) -> Response:
        self.begin(payload, method, max_body, Full.FAIL)
        await self.reach(Goal.END)
        if self.cut:
            raise errors.Unreachable(f"{self.endpoint} closed the connection in the middle of its answer.", sent=True)
        return Response(status=self.parser.status, headers=self.parser.headers, body=self.take())

    def begin(self, payload: bytes, method: str, limit: int, full: Full) -> None:
        self.sent = self.heard = False
        self._stop_timer()
        if self._transport is None or self._transport.is_closing():
            raise errors.Unreachable(f"{self.endpoint} closed the connection before the request was sent.")
        self.parser = Parser(bodiless=method == "HEAD")
        self._limit, self._full = limit, full
        self.ended = False
        self.sent = True
        self._transport.write(payload)

    async def reach(self, goal: Goal) -> None:
        """Wait for `goal` or the end; raises what went wrong, once, when nothing is left to take before it."""
        assert self._waiter is None, "one reader at a time"
        self._goal = goal
        if not self._reached():
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None and (goal is not Goal.SOME or not self._parts):
            failure, self._failure = self._failure, None
            raise failure

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._full is Full.PAUSE and not self.ended and self._transport is not None:
            self._transport.resume_reading()
        return data

    def pace(self, rest: float) -> None:
        # A pausing stream is paced by its consumer; two reasons to pause would trip over each other.
        self._rest = 0.0 if self._full is Full.PAUSE else max(0.0, min(rest, LONGEST_REST))

    def reusable(self) -> bool:
        transport, parser = self._transport, self.parser
        if transport is None or transport.is_closing() or not (parser.done and parser.keep) or parser.rest:
            return False
        return transport.get_write_buffer_size() == 0  # an answer that came before its request was all written

    def rest_in_pool(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self.abort)

    def abort(self) -> None:
        self._end(ConnectionAbortedError())
        self._leave()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._block

    def buffer_updated(self, nbytes: int) -> None:
        if self.ended:  # bytes nobody asked for: this connection cannot be trusted with another request
            self.abort()
            return
        self.heard = True
        parser = self.parser
        try:
            body = parser.feed(bytes(self._block[:nbytes]))
        except errors.InvalidResponse as error:
            self._fail(error)
            return
        if body:
            self._parts.append(body)
            self._size += len(body)
            if self._size > self._limit:
                self._overflow()
        if parser.done:
            self.ended = True
        elif self._rest:
            self._breathe(nbytes)
        self._tell()

    def eof_received(self) -> None:
        self._end(None)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._leave()
        self.gone.set()

    def _end(self, cause: Exception | None) -> None:
        """The connection is over: orderly (None) or not. Decides what that means for an exchange under way."""
        if self.ended:
            return
        self.ended = True
        self.cause = cause
        if not self.parser.status:
            self._failure = errors.Unreachable(
                f"{self.endpoint} closed the connection without an answer.", sent=self.sent
            )
        elif cause is not None or not self.parser.finish():
            self.cut = True
        self._tell()

    def _fail(self, failure: errors.QuarterdeckError) -> None:
        self._failure = failure
        self.ended = True
        self.abort()
        self._tell()

    def _overflow(self) -> None:
        if self._full is Full.FAIL:
            self._parts.clear()
            self._fail(too_long(self._limit))
        elif self._full is Full.DROP:
            self._parts.clear()
            self.overflowed = self.ended = True
            self.abort()
        elif self._transport is not None:
            self._transport.pause_reading()

    def _breathe(self, nbytes: int) -> None:
        now = self._loop.time()
        if nbytes < PLENTY and now < self._busy_until and not self.ended and self._transport is not None:
            self._transport.pause_reading()
            self._timer = self._loop.call_later(self._rest, self._read_on)
        else:
            self._busy_until = now + self._rest

    def _read_on(self) -> None:
        self._busy_until = self._loop.time() + self._rest
        if self._transport is not None:
            self._transport.resume_reading()

    def _reached(self) -> bool:
        if self._goal is Goal.SOME:
            return bool(self._parts) or self.ended
        return self.ended or (self._goal is Goal.HEAD and self.parser.status != 0)

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done() and self._reached():
            self._waiter.set_result(None)

    def _leave(self) -> None:
        self._stop_timer()
        if self.forget is not None:
            forget, self.forget = self.forget, None
            forget(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def too_long(limit: int) -> errors.InvalidResponse:
    return errors.InvalidResponse(f"The engine's answer is longer than {limit} bytes.", hint="Ask for less at a time.")
