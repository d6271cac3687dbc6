"""Sends HTTP/1.1 requests to a container engine's API and reads its responses and streams.

Requests share a limited number of open connections and return whole responses. Each stream has its own connection and
returns bytes in order, as they arrive. A change is sent at most once; if its connection is lost, the error says whether
the request had left (`sent`). Over TLS or ssh, a connection may look open although the engine will refuse it: there, a
change is sent only after the engine has answered a ping. The reader of a stream does not wait for its consumer, because
an unread `/events` slows the daemon down. A consumer that is too slow loses the unread bytes and the stream; then
`overflowed` is True.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from core import errors
from runtimes.transport import http_connection
from runtimes.transport.dialer import Dialer, DirectDialer
from runtimes.transport.endpoint import Endpoint
from runtimes.transport.http_connection import HttpConnection, OnFull, Response, Wait
from runtimes.transport.http_parser import encode_request
from runtimes.transport.line_splitter import LineReader

__all__ = ["Endpoint", "HttpClient", "Response", "Stream"]

T = TypeVar("T")
MAX_BODY = 32 << 20  # bytes; a list of 10,000 containers
MAX_UNREAD = 8 << 20  # bytes of a stream that must not be paused
MAX_UNREAD_PAUSED = 1 << 20  # bytes of another stream; sixteen logs may be read at once
REPEATABLE = frozenset({"GET", "HEAD"})
PING = encode_request("GET", "/_ping", None, None)


class HttpClient:
    """Sends requests to the API of one engine.

    `connections` limits the running reads, the running changes and the open streams, each by itself: a change may take
    an hour, and reads must not wait for it. An unused connection is closed after
    `idle` seconds. A client belongs to the event loop on which it is first used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        dialer: Dialer | None = None,
        connections: int = 16,
        idle: float = 30.0,
    ) -> None:
        self.endpoint = endpoint
        self._dialer = dialer or DirectDialer(endpoint)
        self._idle_seconds = idle
        self._read_slots = asyncio.Semaphore(connections)
        self._change_slots = asyncio.Semaphore(connections)
        self._stream_slots = asyncio.Semaphore(connections)
        self._pooled: set[HttpConnection] = set()
        self._idle: deque[HttpConnection] = deque()  # the unused ones of `_pooled`, the most recently used last
        self._streaming: set[HttpConnection] = set()
        self._closed = False
        # One block serves all connections: the event loop fills it, and it is copied in the same step.
        self._block = memoryview(bytearray(http_connection.BLOCK))

    async def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float,
        max_body: int = MAX_BODY,
    ) -> Response:
        """Sends one request and returns the response, whatever its status. `deadline`: seconds, including the wait for
        a free connection.

        Raises Unreachable and TimedOut (`sent`: whether the request had left), InvalidResponse for a response that
        breaks HTTP or whose body exceeds `max_body` bytes or MAX_VALUES, and BadUsage for a request that cannot be
        written. Only GET and HEAD use an idle connection; if that one is dead, the request is sent again on a new one.
        """
        payload = encode_request(method, target, body, headers)
        slots = self._read_slots if method in REPEATABLE else self._change_slots
        connection: HttpConnection | None = None
        try:
            async with asyncio.timeout(deadline), slots:
                if method in REPEATABLE and self._idle:
                    connection = self._idle.pop()
                    try:
                        answer = await connection.exchange(payload, method, max_body)
                        return http_connection.checked(self.endpoint, answer)
                    except errors.Unreachable:
                        if connection.received or self._closed:
                            raise
                connection = await self._open_pooled()
                if method not in REPEATABLE and self._dialer.needs_ping:
                    await self._ping(connection)
                answer = await self._diagnosed(connection, connection.exchange(payload, method, max_body))
                return http_connection.checked(self.endpoint, answer)
        except errors.InvalidResponse as error:
            raise error.with_sent(method not in REPEATABLE) from error
        except TimeoutError:
            raise self._timed_out(method, target, deadline, connection) from None
        finally:
            if connection is not None:
                self._put_back(connection)

    async def stream(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float,
        max_buffer: int | None = None,
        pause: bool = False,
        head: bool = True,
    ) -> Stream:
        """Sends a request on a new connection. Returns within `deadline` seconds, when the headers of the
        response have arrived; without `head`, when the request has left (some engines send headers with the first data
        only).

        More than `max_buffer` unread bytes end the stream as overflowed or, with `pause`, stop the reading until the
        consumer has caught up (right for a log, wrong for events). By default that is MAX_UNREAD or, with `pause`,
        MAX_UNREAD_PAUSED. The caller closes the stream. Raises the errors of `request`.
        """
        if max_buffer is None:
            max_buffer = MAX_UNREAD_PAUSED if pause else MAX_UNREAD
        payload = encode_request(method, target, body, headers)
        connection: HttpConnection | None = None
        try:
            async with asyncio.timeout(deadline):
                connection = await self._open_streaming()
                if method not in REPEATABLE and self._dialer.needs_ping:
                    await self._ping(connection)
                connection.begin(payload, method, max_buffer, OnFull.PAUSE if pause else OnFull.DROP)
                if head:
                    await self._diagnosed(connection, connection.wait_for(Wait.HEADERS))
        except BaseException as error:
            if connection is not None:
                connection.abort()
            if isinstance(error, TimeoutError):
                raise self._timed_out(method, target, deadline, connection) from None
            raise
        return Stream(connection)

    async def aclose(self) -> None:
        """Closes all connections: running requests raise Unreachable, and streams end with `cut` set."""
        self._closed = True
        connections = (*self._pooled, *self._streaming)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.closed.wait()
        await self._dialer.aclose()

    async def _open_pooled(self) -> HttpConnection:
        # A new connection replaces an idle one, so that there are never more than `connections` in all.
        if self._idle:
            self._idle[0].abort()
        connection = await self._connect()
        connection.on_lost = self._remove_pooled
        self._pooled.add(connection)
        return connection

    async def _open_streaming(self) -> HttpConnection:
        await self._stream_slots.acquire()
        try:
            connection = await self._connect()
        except BaseException:
            self._stream_slots.release()
            raise
        connection.on_lost = self._remove_streaming
        self._streaming.add(connection)
        return connection

    async def _connect(self) -> HttpConnection:
        connection = HttpConnection(self.endpoint, self._block)
        await self._dialer.connect(connection)
        if self._closed:
            connection.abort()
            raise errors.Unreachable(
                f"Quarterdeck has closed its connection to {self.endpoint}.",
                hint="Quarterdeck is stopping, or the engine was removed from the configuration."
                " Give the command again later.",
            )
        return connection

    async def _ping(self, connection: HttpConnection) -> None:
        """Sends a ping. Raises Unreachable with `sent` False, because the request after the ping has not left."""
        try:
            await self._diagnosed(connection, connection.exchange(PING, "GET", 4096))
        except errors.Unreachable as error:
            raise errors.Unreachable(error.message, sent=False, hint=error.hint) from error
        finally:
            connection.sent = False
        if not connection.reusable():
            raise errors.Unreachable(
                f"{self.endpoint} closed the connection before the request was sent.",
                hint="Give the command again. If it fails again, check that the engine runs: engines",
            )

    async def _diagnosed(self, connection: HttpConnection, work: Awaitable[T]) -> T:
        """Awaits `work`. If the connection is lost before the engine sent anything, the dialer explains why."""
        try:
            return await work
        except errors.Unreachable as error:
            if connection.received or self._closed:
                raise
            raise await self._dialer.diagnose(error, connection.cause) from error

    def _put_back(self, connection: HttpConnection) -> None:
        if connection.reusable() and not self._closed:
            connection.abort_after(self._idle_seconds)
            self._idle.append(connection)
        else:
            connection.abort()

    def _remove_pooled(self, connection: HttpConnection) -> None:
        self._pooled.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def _remove_streaming(self, connection: HttpConnection) -> None:
        self._streaming.discard(connection)
        self._stream_slots.release()

    def _timed_out(
        self, method: str, target: str, deadline: float, connection: HttpConnection | None
    ) -> errors.TimedOut:
        what = f"{method} {target.partition('?')[0][:120]}"
        if connection is not None and connection.sent:
            return errors.TimedOut(
                f"{self.endpoint} did not answer {what} within {deadline:g} s.",
                sent=True,
                hint="Check the load of the engine's host: CPU, memory and disks.",
            )
        return errors.TimedOut(
            f"{what} could not be sent to {self.endpoint} within {deadline:g} s.",
            sent=False,
            hint="Give the command again later: the engine accepts no connections now, or all connections to the"
            " engine are in use.",
        )


class Stream:
    """Returns the body of one response as it arrives. Iterating and `read` have no deadline, because a stream may be
    silent for a long time.

    A cancelled read loses nothing. Only one reader at a time is allowed. `status` is 0 until the headers have arrived.
    `cut`: the body ended too early. `overflowed`: the consumer fell behind, and its unread bytes were dropped.
    """

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    @property
    def status(self) -> int:
        return self._connection.parser.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._connection.parser.headers

    @property
    def cut(self) -> bool:
        return self._connection.cut

    @property
    def overflowed(self) -> bool:
        return self._connection.overflowed

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterates over the bytes that arrived since the last step."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """Returns what arrived since the last call, at least one byte; nothing at the end. Raises InvalidResponse."""
        await self._connection.wait_for(Wait.DATA)
        data = self._connection.take()
        if not data:
            self._connection.abort()
        return data

    def lines(self, on_long_line: Callable[[], None] = lambda: None) -> LineReader:
        """Iterates over batches of whole lines; see LineReader."""
        return LineReader(self.read, on_long_line)

    async def read_all(self, limit: int, *, deadline: float = 30.0) -> bytes:
        """Returns the rest of the body within `deadline` seconds. Raises InvalidResponse beyond `limit` bytes."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(deadline):
                async for part in self:
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise http_connection.too_long(self._connection.endpoint, limit)
        except TimeoutError:
            raise errors.TimedOut(
                f"The answer of {self._connection.endpoint} was not complete within {deadline:g} s.",
                sent=True,
                hint="Check the load of the engine's host: CPU, memory and disks.",
            ) from None
        return b"".join(parts)

    async def aclose(self) -> None:
        """Closes the connection; may be called twice."""
        self._connection.abort()
        await self._connection.closed.wait()
