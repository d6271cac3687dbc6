"""Our HTTP/1.1 client for container-engine APIs, over a unix socket or plain tcp.

Requests go out on a bounded pool of kept connections and come back whole; streams have connections of their own and
come back as the bytes that arrived. Bytes of one response are in order; a change is sent at most once, and when its
connection is lost the error says whether it had left. A stream's reader never waits for its consumer (an unread
`/events` slows the daemon itself): one that falls behind loses its buffer and its stream, and is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import errno
import grp
import os
import pwd
import socket
import stat
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from core import errors
from runtimes.http_wire import Endpoint, Parser, compose

__all__ = ["Client", "Endpoint", "Response", "Stream"]

BLOCK = 64 << 10  # bytes a read takes; above 128 KiB malloc maps and unmaps each block, at half the speed
PLENTY = 32 << 10  # a read this large says the sender is ahead: resting would only let its socket fill up
LONGEST_REST = 0.002
BACKLOG_PAUSE = 0.01
REPEATABLE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`headers` have lower-cased names; a header sent twice is joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One engine's API. `connections` bounds the requests under way and, apart from them, the open streams; `idle` is
    how many seconds an unused connection is kept. Belongs to the event loop it is first used on."""

    def __init__(self, endpoint: Endpoint, *, connections: int = 16, idle: float = 30.0) -> None:
        self.endpoint = endpoint
        self._idle_limit = idle
        self._places = asyncio.Semaphore(connections)
        self._stream_places = asyncio.Semaphore(connections)
        self._pooled: set[_Wire] = set()
        self._idle: deque[_Wire] = deque()  # those of `_pooled` that nobody uses, the freshest last
        self._streaming: set[_Wire] = set()
        self._closed = False
        # One block serves all connections: the loop fills it and hands it over in one step, and we copy it out at once.
        self._block = memoryview(bytearray(BLOCK))

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

        Raises Unreachable and TimedOut (their `sent` says whether the request had left), Garbled for an answer that
        breaks HTTP or whose body exceeds `max_body` bytes, BadUsage for a request that may not be written. Only GET and
        HEAD go out on a kept connection, and once more on a new one when the kept one turns out to be dead.
        """
        payload = compose(method, target, body, headers)
        wire: _Wire | None = None
        try:
            async with asyncio.timeout(deadline), self._places:
                if method in REPEATABLE and self._idle:
                    wire = self._idle.pop()
                    try:
                        return await wire.exchange(payload, method, max_body)
                    except errors.Unreachable:
                        if wire.heard or self._closed:
                            raise
                wire = await self._open_pooled()
                return await wire.exchange(payload, method, max_body)
        except TimeoutError:
            raise self._timed_out(method, target, deadline, wire) from None
        finally:
            if wire is not None:
                self._put_back(wire)

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
    ) -> Stream:
        """Send a request on a connection of its own; comes back when the response has begun, within `deadline` seconds.

        More than `max_buffer` unread bytes end the stream as overflowed, or, with `pause`, stop the reading until the
        consumer has caught up (right for a log, wrong for events). The caller closes the stream. Raises as `request`.
        """
        payload = compose(method, target, body, headers)
        wire: _Wire | None = None
        try:
            async with asyncio.timeout(deadline):
                wire = await self._open_streaming()
                wire.begin(payload, method, max_buffer, _Full.PAUSE if pause else _Full.DROP)
                await wire.reach(_Goal.HEAD)
        except BaseException as error:
            if wire is not None:
                wire.abort()
            if isinstance(error, TimeoutError):
                raise self._timed_out(method, target, deadline, wire) from None
            raise
        return Stream(wire)

    async def aclose(self) -> None:
        """Close everything: requests under way end as Unreachable, streams as cut."""
        self._closed = True
        wires = (*self._pooled, *self._streaming)
        for wire in wires:
            wire.abort()
        for wire in wires:
            await wire.gone.wait()

    async def _open_pooled(self) -> _Wire:
        # A new connection takes an idle one's place: those in use and those idle never exceed `connections` together.
        if self._idle:
            self._idle[0].abort()
        wire = await self._connect()
        wire.forget = self._forget_pooled
        self._pooled.add(wire)
        return wire

    async def _open_streaming(self) -> _Wire:
        await self._stream_places.acquire()
        try:
            wire = await self._connect()
        except BaseException:
            self._stream_places.release()
            raise
        wire.forget = self._forget_streaming
        self._streaming.add(wire)
        return wire

    async def _connect(self) -> _Wire:
        endpoint, loop = self.endpoint, asyncio.get_running_loop()
        wire = _Wire(endpoint, self._block)
        try:
            if endpoint.scheme == "unix":
                await loop.create_unix_connection(lambda: wire, sock=await _dial(endpoint.path))
            else:
                await loop.create_connection(lambda: wire, endpoint.host, endpoint.port)
        except OSError as error:
            raise explain(endpoint, error) from error
        if self._closed:
            wire.abort()
            raise errors.Unreachable(f"The client of {endpoint} is closed.")
        return wire

    def _put_back(self, wire: _Wire) -> None:
        if wire.reusable() and not self._closed:
            wire.rest_in_pool(self._idle_limit)
            self._idle.append(wire)
        else:
            wire.abort()

    def _forget_pooled(self, wire: _Wire) -> None:
        self._pooled.discard(wire)
        with contextlib.suppress(ValueError):
            self._idle.remove(wire)

    def _forget_streaming(self, wire: _Wire) -> None:
        self._streaming.discard(wire)
        self._stream_places.release()

    def _timed_out(self, method: str, target: str, deadline: float, wire: _Wire | None) -> errors.TimedOut:
        what = f"{method} {target.partition('?')[0][:120]}"
        if wire is not None and wire.sent:
            return errors.TimedOut(f"{self.endpoint} did not answer {what} within {deadline:g} s.", sent=True)
        return errors.TimedOut(
            f"{what} could not be sent to {self.endpoint} within {deadline:g} s.",
            sent=False,
            hint="It accepts no connection, or all of ours are in use.",
        )


class Stream:
    """The body of one response as it arrives. Iterating, or `read`, has no deadline of its own: silence may be right.

    Cancelling a read loses nothing; one reader at a time. `cut`: the body ended before its end. `overflowed`: the
    consumer fell behind, and what it had not read is gone.
    """

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self.status = wire.parser.status
        self.headers: Mapping[str, str] = wire.parser.headers

    @property
    def cut(self) -> bool:
        return self._wire.cut

    @property
    def overflowed(self) -> bool:
        return self._wire.overflowed

    def chunks(self, *, coalesce: float = 0.0) -> AsyncIterator[bytes]:
        """Iterate over what arrived since last asked.

        `coalesce`: seconds (at most 0.002) the reader rests between small reads while they come thick, so that a busy
        stream costs one wake-up for many events; a quiet one is not held up.
        """
        self._wire.pace(coalesce)
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """Everything that arrived since last asked, at least a byte; empty at the end. Raises Garbled."""
        await self._wire.reach(_Goal.SOME)
        data = self._wire.take()
        if not data:
            self._wire.abort()
        return data

    async def read_all(self, limit: int, *, deadline: float = 30.0) -> bytes:
        """The rest of the body, within `deadline` seconds; Garbled when it is more than `limit` bytes."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(deadline):
                async for part in self:
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise _too_long(limit)
        except TimeoutError:
            raise errors.TimedOut(f"The engine's answer did not end within {deadline:g} s.", sent=True) from None
        return b"".join(parts)

    async def aclose(self) -> None:
        """Close the connection; harmless when closed already."""
        self._wire.abort()
        await self._wire.gone.wait()


class _Full(enum.Enum):
    """What happens when more is unread than allowed."""

    FAIL = enum.auto()
    DROP = enum.auto()
    PAUSE = enum.auto()


class _Goal(enum.Enum):
    """What somebody waits for."""

    HEAD = enum.auto()
    SOME = enum.auto()
    END = enum.auto()


class _Wire(asyncio.BufferedProtocol):
    """One connection, one exchange at a time. Ends are final: once `ended`, nothing is added and the cause is known."""

    def __init__(self, endpoint: Endpoint, block: memoryview) -> None:
        self._endpoint = endpoint
        self._block = block
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._goal = _Goal.HEAD
        self._rest = self._busy_until = 0.0
        self._parts: list[bytes] = []
        self._size = self._limit = 0
        self._full = _Full.FAIL
        self._failure: errors.QuarterdeckError | None = None
        self.forget: Callable[[_Wire], None] | None = None
        self.gone = asyncio.Event()
        self.parser = Parser()
        self.ended = True  # nothing under way
        self.sent = self.heard = self.cut = self.overflowed = False

    async def exchange(self, payload: bytes, method: str, max_body: int) -> Response:
        self.begin(payload, method, max_body, _Full.FAIL)
        await self.reach(_Goal.END)
        if self.cut:
            raise errors.Unreachable(f"{self._endpoint} closed the connection in the middle of its answer.", sent=True)
        return Response(status=self.parser.status, headers=self.parser.headers, body=self.take())

    def begin(self, payload: bytes, method: str, limit: int, full: _Full) -> None:
        self.sent = self.heard = False
        self._stop_timer()
        if self._transport is None or self._transport.is_closing():
            raise errors.Unreachable(f"{self._endpoint} closed the connection before the request was sent.")
        self.parser = Parser(bodiless=method == "HEAD")
        self._limit, self._full = limit, full
        self.ended = False
        self.sent = True
        self._transport.write(payload)

    async def reach(self, goal: _Goal) -> None:
        """Wait for `goal` or the end; raises what went wrong, once, when nothing is left to take before it."""
        assert self._waiter is None, "one reader at a time"
        self._goal = goal
        if not self._reached():
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None and (goal is not _Goal.SOME or not self._parts):
            failure, self._failure = self._failure, None
            raise failure

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._full is _Full.PAUSE and not self.ended and self._transport is not None:
            self._transport.resume_reading()
        return data

    def pace(self, rest: float) -> None:
        # A pausing stream is paced by its consumer; two reasons to pause would trip over each other.
        self._rest = 0.0 if self._full is _Full.PAUSE else max(0.0, min(rest, LONGEST_REST))

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
        except errors.Garbled as error:
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
        if not self.parser.status:
            self._failure = errors.Unreachable(
                f"{self._endpoint} closed the connection without an answer.", sent=self.sent
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
        if self._full is _Full.FAIL:
            self._parts.clear()
            self._fail(_too_long(self._limit))
        elif self._full is _Full.DROP:
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
        if self._goal is _Goal.SOME:
            return bool(self._parts) or self.ended
        return self.ended or (self._goal is _Goal.HEAD and self.parser.status != 0)

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


async def _dial(path: str) -> socket.socket:
    # asyncio takes EAGAIN for “connecting”; on a unix socket it means a full backlog, and the connection is none.
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while True:
            try:
                dialled.connect(path)
            except BlockingIOError:
                await asyncio.sleep(BACKLOG_PAUSE)
            else:
                return dialled
    except BaseException:
        dialled.close()
        raise


def explain(endpoint: Endpoint, error: OSError) -> errors.Unreachable:
    """Why no connection came about, and what would help."""
    if endpoint.scheme == "unix":
        return _explain_unix(endpoint.path, error)
    if isinstance(error, socket.gaierror):
        return errors.Unreachable(
            f"The host name {endpoint.host} cannot be resolved.", hint="Check the engine's address in quarterdeck.yaml."
        )
    # Several addresses tried come back as one error with all their texts and no number.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return errors.Unreachable(
            f"Nothing listens at {endpoint}.", hint="Is the engine running, and told to listen there (dockerd -H)?"
        )
    return errors.Unreachable(f"{endpoint} cannot be reached: {error.strerror or error}.")


def _explain_unix(path: str, error: OSError) -> errors.Unreachable:
    start = "systemctl start podman.socket" if "podman" in path else "systemctl start docker"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return errors.Unreachable(
            f"There is no engine socket at {path}.",
            hint=f"Is the engine running ({start})? If it listens elsewhere, give its url in quarterdeck.yaml.",
        )
    if isinstance(error, PermissionError):
        return _explain_permission(path)
    if isinstance(error, ConnectionRefusedError):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(Path(path).stat().st_mode):
                return errors.Unreachable(f"{path} is not a socket.", hint="Give the path of the engine's own socket.")
        return errors.Unreachable(
            f"The socket {path} is there but nobody listens on it.", hint=f"Start the engine ({start})."
        )
    if error.errno is None and "too long" in str(error):
        return errors.Unreachable(
            f"The socket path {path} is too long for the system, which takes 107 bytes.",
            hint="Link a shorter path to it (ln -s) and give that.",
        )
    return errors.Unreachable(f"The engine socket {path} cannot be reached: {error.strerror or error}.")


def _explain_permission(path: str) -> errors.Unreachable:
    try:
        found = Path(path).stat()
    except OSError:
        return errors.Unreachable(
            f"You may not enter the folder of the engine socket {path}.",
            hint="Run as the user whose engine it is, or as root.",
        )
    me, owner = _user(os.geteuid()), _user(found.st_uid)
    if not (found.st_mode & stat.S_IWGRP) or found.st_gid == 0:
        return errors.Unreachable(
            f"Only {owner} may use the engine socket {path}; you are {me}.", hint=f"Run as {owner}."
        )
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return errors.Unreachable(
        f"Only {owner} and the group {group} may use the engine socket {path}; you are {me}.",
        hint=f"Join the group (sudo usermod -aG {group} {me}, then log in again) or run as root.",
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _too_long(limit: int) -> errors.Garbled:
    return errors.Garbled(f"The engine's answer is longer than {limit} bytes.", hint="Ask for less at a time.")
