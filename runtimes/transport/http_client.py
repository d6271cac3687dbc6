"""Our HTTP/1.1 client for container-engine APIs, over whatever line leads there.

Requests go out on a bounded pool of kept connections and come back whole; streams have connections of their own and
come back as the bytes that arrived. Bytes of one response are in order; a change is sent at most once, and when its
connection is lost the error says whether it had left. Where a line can stand though nobody is at its end (TLS before
our certificate was looked at, a forwarded socket), a change goes out only after a ping was answered. A stream's reader
never waits for its consumer (an unread `/events` slows the daemon itself): one that falls behind loses its buffer and
its stream, and is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import TypeVar

from core import errors
from runtimes.transport import dialer, http_connection
from runtimes.transport.endpoint import Endpoint
from runtimes.transport.http_connection import Connection, Full, Goal, Response
from runtimes.transport.http_parser import compose
from runtimes.transport.lines import LineReader

__all__ = ["Client", "Endpoint", "Response", "Stream"]

T = TypeVar("T")
REPEATABLE = frozenset({"GET", "HEAD"})
PING = compose("GET", "/_ping", None, None)


class Client:
    """One engine's API. `connections` bounds the requests under way and, apart from them, the open streams; `idle` is
    how many seconds an unused connection is kept. Belongs to the event loop it is first used on."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        line: dialer.Dialer | None = None,
        connections: int = 16,
        idle: float = 30.0,
    ) -> None:
        self.endpoint = endpoint
        self._line = line or dialer.DirectDialer(endpoint)
        self._idle_limit = idle
        self._places = asyncio.Semaphore(connections)
        self._stream_places = asyncio.Semaphore(connections)
        self._pooled: set[Connection] = set()
        self._idle: deque[Connection] = deque()  # those of `_pooled` that nobody uses, the freshest last
        self._streaming: set[Connection] = set()
        self._closed = False
        # One block serves all connections: the loop fills it and hands it over in one step, and we copy it out at once.
        self._block = memoryview(bytearray(http_connection.BLOCK))

    async def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float,
        max_body: int = 64 << 20,
    ) -> Response:
        """One exchange within `deadline` seconds, waiting for a free connection included. Any status is an answer.

        Raises Unreachable and TimedOut (their `sent` says whether the request had left), InvalidResponse for an
        answer that
        breaks HTTP or whose body exceeds `max_body` bytes, BadUsage for a request that may not be written. Only GET and
        HEAD go out on a kept connection, and once more on a new one when the kept one turns out to be dead.
        """
        payload = compose(method, target, body, headers)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(deadline), self._places:
                if method in REPEATABLE and self._idle:
                    connection = self._idle.pop()
                    try:
                        return await connection.exchange(payload, method, max_body)
                    except errors.Unreachable:
                        if connection.heard or self._closed:
                            raise
                connection = await self._open_pooled()
                if method not in REPEATABLE and self._line.blind:
                    await self._ping(connection)
                return await self._told(connection, connection.exchange(payload, method, max_body))
        except errors.InvalidResponse as error:
            error.sent = method not in REPEATABLE
            raise
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
        max_buffer: int = 8 << 20,
        pause: bool = False,
        head: bool = True,
    ) -> Stream:
        """Send a request on a connection of its own; comes back when the response has begun, within `deadline` seconds,
        or without `head` when the request has left: some engines begin a response only with the first they have to say.

        More than `max_buffer` unread bytes end the stream as overflowed, or, with `pause`, stop the reading until the
        consumer has caught up (right for a log, wrong for events). The caller closes the stream. Raises as `request`.
        """
        payload = compose(method, target, body, headers)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(deadline):
                connection = await self._open_streaming()
                if method not in REPEATABLE and self._line.blind:
                    await self._ping(connection)
                connection.begin(payload, method, max_buffer, Full.PAUSE if pause else Full.DROP)
                if head:
                    await self._told(connection, connection.reach(Goal.HEAD))
        except BaseException as error:
            if connection is not None:
                connection.abort()
            if isinstance(error, TimeoutError):
                raise self._timed_out(method, target, deadline, connection) from None
            raise
        return Stream(connection)

    async def aclose(self) -> None:
        """Close everything: requests under way end as Unreachable, streams as cut."""
        self._closed = True
        open_ones = (*self._pooled, *self._streaming)
        for connection in open_ones:
            connection.abort()
        for connection in open_ones:
            await connection.gone.wait()
        await self._line.aclose()

    async def _open_pooled(self) -> Connection:
        # A new connection takes an idle one's place: those in use and those idle never exceed `connections` together.
        if self._idle:
            self._idle[0].abort()
        connection = await self._connect()
        connection.forget = self._forget_pooled
        self._pooled.add(connection)
        return connection

    async def _open_streaming(self) -> Connection:
        await self._stream_places.acquire()
        try:
            connection = await self._connect()
        except BaseException:
            self._stream_places.release()
            raise
        connection.forget = self._forget_streaming
        self._streaming.add(connection)
        return connection

    async def _connect(self) -> Connection:
        connection = Connection(self.endpoint, self._block)
        await self._line.connect(connection)
        if self._closed:
            connection.abort()
            raise errors.Unreachable(f"The client of {self.endpoint} is closed.")
        return connection

    async def _ping(self, connection: Connection) -> None:
        """Raises Unreachable, with `sent` False: whatever was to follow has not left."""
        try:
            await self._told(connection, connection.exchange(PING, "GET", 4096))
        except errors.Unreachable as error:
            raise errors.Unreachable(error.message, sent=False, hint=error.hint) from error
        finally:
            connection.sent = False
        if not connection.reusable():
            raise errors.Unreachable(f"{self.endpoint} closed the connection before the request was sent.")

    async def _told(self, connection: Connection, work: Awaitable[T]) -> T:
        """`work`, whose loss without a word from the engine is explained by the line it was lost on."""
        try:
            return await work
        except errors.Unreachable as error:
            if connection.heard or self._closed:
                raise
            raise await self._line.explain(error, connection.cause) from error

    def _put_back(self, connection: Connection) -> None:
        if connection.reusable() and not self._closed:
            connection.rest_in_pool(self._idle_limit)
            self._idle.append(connection)
        else:
            connection.abort()

    def _forget_pooled(self, connection: Connection) -> None:
        self._pooled.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def _forget_streaming(self, connection: Connection) -> None:
        self._streaming.discard(connection)
        self._stream_places.release()

    def _timed_out(self, method: str, target: str, deadline: float, connection: Connection | None) -> errors.TimedOut:
        what = f"{method} {target.partition('?')[0][:120]}"
        if connection is not None and connection.sent:
            return errors.TimedOut(f"{self.endpoint} did not answer {what} within {deadline:g} s.", sent=True)
        return errors.TimedOut(
            f"{what} could not be sent to {self.endpoint} within {deadline:g} s.",
            sent=False,
            hint="It accepts no connection, or all of ours are in use.",
        )


class Stream:
    """The body of one response as it arrives. Iterating, or `read`, has no deadline of its own: silence may be right.

    Cancelling a read loses nothing; one reader at a time. `status` is 0 until the response has begun. `cut`: the body
    ended before its end. `overflowed`: the consumer fell behind, and what it had not read is gone.
    """

    def __init__(self, connection: Connection) -> None:
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

    def chunks(self, *, coalesce: float = 0.0) -> AsyncIterator[bytes]:
        """Iterate over what arrived since last asked.

        `coalesce`: seconds (at most 0.002) the reader rests between small reads while they come thick, so that a busy
        stream costs one wake-up for many events; a quiet one is not held up.
        """
        self._connection.pace(coalesce)
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """Everything that arrived since last asked, at least a byte; empty at the end. Raises InvalidResponse."""
        await self._connection.reach(Goal.SOME)
        data = self._connection.take()
        if not data:
            self._connection.abort()
        return data

    def lines(self) -> LineReader:
        """Iterates over batches of whole lines. Raises InvalidResponse for a line without an end."""
        return LineReader(self.read, str(self._connection.endpoint))

    async def read_all(self, limit: int, *, deadline: float = 30.0) -> bytes:
        """The rest of the body, within `deadline` seconds; InvalidResponse when it is more than `limit` bytes."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(deadline):
                async for part in self:
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise http_connection.too_long(limit)
        except TimeoutError:
            raise errors.TimedOut(f"The engine's answer did not end within {deadline:g} s.", sent=True) from None
        return b"".join(parts)

    async def aclose(self) -> None:
        """Close the connection; harmless when closed already."""
        self._connection.abort()
        await self._connection.gone.wait()
