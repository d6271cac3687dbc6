"""Sends one HTTP request over one connection, and stores the body of the response until the caller takes it.

A connection carries one exchange (a request and its response) at a time. The bytes stay in order. The number of unread
bytes is limited; `OnFull` defines what happens when the limit is reached. An exchange ends once, with one cause. The
bytes that arrived before the end can still be taken.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping
from typing import cast

from core import errors
from core.lazy_dataclass import dataclass
from runtimes.transport.endpoint import LOST_HINT, Endpoint
from runtimes.transport.http_parser import ResponseParser
from runtimes.transport.read_batching import ReadBatching

BLOCK = 96 << 10  # bytes of one read; above 128 KiB malloc maps and unmaps each block, at half the speed
MAX_VALUES = 1_000_000  # in a body of JSON: each costs some 100 bytes of memory, however short it is
UNCHECKED = 1 << 20  # bytes of a body whose values are not counted


class HttpConnection(asyncio.BufferedProtocol):
    """Carries one exchange at a time.

    `ended`: no exchange is running. `sent`: its request was written. `received`: the engine sent something.
    `cut`: the body ended too early. `overflowed`: unread bytes were dropped. `cause`: the system's error, if the
    connection was lost.
    """

    def __init__(self, endpoint: Endpoint, block: memoryview) -> None:
        self.endpoint = endpoint
        self._block = block
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wait = Wait.HEADERS
        self._parts: list[bytes] = []
        self._size = self._limit = 0
        self._on_full = OnFull.FAIL
        self._batching: ReadBatching | None = None
        self._failure: errors.QuarterdeckError | None = None
        self.on_lost: Callable[[HttpConnection], None] | None = None
        self.closed = asyncio.Event()
        self.parser = ResponseParser()
        self.ended = True
        self.sent = self.received = self.cut = self.overflowed = False
        self.cause: Exception | None = None

    async def exchange(self, payload: bytes, method: str, max_body: int) -> Response:
        """Sends a request and returns the whole response. Raises Unreachable and InvalidResponse."""
        self.begin(payload, method, max_body, OnFull.FAIL)
        await self.wait_for(Wait.END)
        if self.cut:
            raise errors.Unreachable(
                f"{self.endpoint} closed the connection in the middle of its answer.",
                sent=True,
                hint=LOST_HINT,
            )
        return Response(status=self.parser.status, headers=self.parser.headers, body=self.take())

    def begin(self, payload: bytes, method: str, limit: int, on_full: OnFull) -> None:
        """Sends a request. `limit`: how many bytes may be unread."""
        self.sent = self.received = False
        self._stop_timer()
        if self._transport is None or self._transport.is_closing():
            raise errors.Unreachable(
                f"{self.endpoint} closed the connection before the request was sent.",
                hint="Give the command again. If it fails again, check that the engine runs: engines",
            )
        self.parser = ResponseParser(bodiless=method == "HEAD")
        self._limit, self._on_full = limit, on_full
        # Only a stream whose messages are dropped if nobody takes them can be busy all the time.
        busy = on_full is OnFull.DROP
        self._batching = ReadBatching(self._loop, self._transport, self._feed) if busy else None
        self.ended = False
        self.sent = True
        self._transport.write(payload)

    async def wait_for(self, wait: Wait) -> None:
        """Waits until the given part has arrived or the exchange has ended. Raises the failure of the exchange once,
        after all data was taken."""
        assert self._waiter is None, "one reader at a time"
        self._wait = wait
        if not self._has_arrived():
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None and (wait is not Wait.DATA or not self._parts):
            failure, self._failure = self._failure, None
            raise failure

    def take(self) -> bytes:
        """Returns the bytes of the body that arrived since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._on_full is OnFull.PAUSE and not self.ended and self._transport is not None:
            self._transport.resume_reading()
        return data

    def reusable(self) -> bool:
        """Returns whether another request may be sent on this connection."""
        transport, parser = self._transport, self.parser
        if transport is None or transport.is_closing() or not (parser.done and parser.keep_alive) or parser.rest:
            return False
        return transport.get_write_buffer_size() == 0  # else the response came before its request was written

    def abort_after(self, seconds: float) -> None:
        """Closes the connection at that time unless a request is sent on it before."""
        self._timer = self._loop.call_later(seconds, self.abort)

    def abort(self) -> None:
        self._end(ConnectionAbortedError())
        self._release()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._block

    def buffer_updated(self, nbytes: int) -> None:
        if self.ended:  # unexpected bytes: no other request may be sent on this connection
            self.abort()
            return
        self.received = True
        data = bytes(self._block[:nbytes])
        if self._batching is not None and self.parser.status:
            self._batching.received(data)
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        parser = self.parser
        try:
            body = parser.feed(data)
        except errors.InvalidResponse as error:
            if parser.intact:
                self._parts.append(parser.intact)
            from_where = f"{error.message} It came from {self.endpoint}."
            self._fail(errors.InvalidResponse(from_where, sent=error.sent, hint=error.hint))
            return
        if body:
            self._parts.append(body)
            self._size += len(body)
            if self._size > self._limit:
                self._overflow()
        if parser.done:
            self.ended = True
        self._wake_reader()

    def eof_received(self) -> None:
        self._end(None)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._release()
        self.closed.set()

    def _end(self, cause: Exception | None) -> None:
        """Ends the running exchange, because the connection was closed (None) or lost."""
        if self._batching is not None and not self.ended:
            self._batching.flush()
        if self.ended:
            return
        self.ended = True
        self.cause = cause
        if piece := self.parser.unfinished_line():
            self._parts.append(piece)
        if not self.parser.status:
            self._failure = errors.Unreachable(
                f"{self.endpoint} closed the connection without an answer.",
                sent=self.sent,
                hint=LOST_HINT,
            )
        elif cause is not None or not self.parser.finish():
            self.cut = True
        self._wake_reader()

    def _fail(self, failure: errors.QuarterdeckError) -> None:
        self._failure = failure
        self.ended = True
        self.abort()
        self._wake_reader()

    def _overflow(self) -> None:
        if self._on_full is OnFull.FAIL:
            self._parts.clear()
            self._fail(too_long(self.endpoint, self._limit))
        elif self._on_full is OnFull.DROP:
            self._parts.clear()
            self.overflowed = self.ended = True
            self.abort()
        elif self._transport is not None:
            self._transport.pause_reading()

    def _has_arrived(self) -> bool:
        if self._wait is Wait.DATA:
            return bool(self._parts) or self.ended
        return self.ended or (self._wait is Wait.HEADERS and self.parser.status != 0)

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done() and self._has_arrived():
            self._waiter.set_result(None)

    def _release(self) -> None:
        self._stop_timer()
        if self._batching is not None:
            self._batching.stop()
        if self.on_lost is not None:
            on_lost, self.on_lost = self.on_lost, None
            on_lost(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Holds a whole response. `headers` have lower-case names; the values of a repeated header are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OnFull(enum.Enum):
    """Lists what can happen if more bytes are unread than allowed."""

    FAIL = enum.auto()
    DROP = enum.auto()
    PAUSE = enum.auto()


class Wait(enum.Enum):
    """Lists what a reader can wait for: the headers, some bytes of the body, or the end of the response."""

    HEADERS = enum.auto()
    DATA = enum.auto()
    END = enum.auto()


def too_long(endpoint: Endpoint, limit: int) -> errors.InvalidResponse:
    return errors.InvalidResponse(
        f"The answer of {endpoint} is longer than {limit:,} bytes, which is the limit.",
        hint="If the command has --tail, --limit or several targets, reduce them. If not, use the engine's own command"
        " on its host.",
    )


def checked(endpoint: Endpoint, response: Response) -> Response:
    """Returns the response. Raises InvalidResponse if its body would need far more memory once it is decoded."""
    body = response.body
    if len(body) > UNCHECKED and (values := body.count(b",")) > MAX_VALUES:
        raise errors.InvalidResponse(
            f"The answer of {endpoint} has about {values:,} values, and Quarterdeck decodes at most {MAX_VALUES:,}.",
            hint="Check with the engine's own command how many resources it has, and remove those that are not used.",
        )
    return response
