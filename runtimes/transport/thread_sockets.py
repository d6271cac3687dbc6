"""Provides blocking sockets, connected to an engine, for a thread.

The Python packages `docker` and `podman` use blocking sockets. With these sockets, a package reaches the engine that
Quarterdeck is configured for, by the same unix socket, TLS files or ssh process as all other requests. The event loop
opens the real connection and passes the bytes on. So it knows whether a request was `sent`, it limits the bytes of the
answers, and `close` ends every wait of the thread at any point of the exchange.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from core import errors, tasks
from runtimes.transport.dialer import Dialer

MAX_CONNECTIONS = 8  # of one call


class ThreadSockets:
    """Opens the connections of one call that runs in a thread. `max_bytes`: of all answers together. `sent`: whether
    the engine was sent anything. `failure`: why the connections were closed, if that is not the engine's doing."""

    def __init__(self, dialer: Dialer, address: str, *, max_bytes: int) -> None:
        self._dialer, self.address, self._left = dialer, address, max_bytes
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._halves: list[_Half] = []
        self._opening: set[asyncio.Task[socket.socket]] = set()
        self._given: list[socket.socket] = []
        self._closed = False
        self.sent = False
        self.failure: errors.EngineError | None = None

    def connect(self) -> socket.socket:
        """Returns a new connection. Call it in the thread. Raises Unreachable."""
        connected = asyncio.run_coroutine_threadsafe(self._connect_named(), self._loop).result()
        self._given.append(connected)
        return connected

    def release(self) -> None:
        """Closes the sockets that the thread was given. Call it in the thread, at its end: a client that failed may
        have left some open."""
        for connected in self._given:
            connected.close()

    def close(self) -> None:
        """Closes all connections. Call it in the event loop; it may be called twice."""
        self._closed = True
        for task in self._opening:
            task.cancel()
        for half in self._halves:
            half.abort()

    def pass_on(self, half: _Half, data: bytes) -> None:
        """Passes bytes from one end of a connection to the other."""
        if half.is_engine:
            self._left -= len(data)
            if self._left < 0:
                self.failure = errors.InvalidResponse(
                    f"The answer of {self.address} is longer than {self._max_bytes:,} bytes, which is the limit.",
                    hint="Use the engine's own command on its host.",
                )
                self.close()
                return
        else:
            self.sent = True
        if half.other.transport is not None:
            half.other.transport.write(data)

    async def _connect_named(self) -> socket.socket:
        task = tasks.start_awaited(f"connect_thread {self.address}", self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        try:
            return await task
        except asyncio.CancelledError:
            raise _closed(self.address) from None

    async def _connect(self) -> socket.socket:
        if self._closed or len(self._halves) >= 2 * MAX_CONNECTIONS:
            raise _closed(self.address)
        engine, thread = _Half(self, is_engine=True), _Half(self, is_engine=False)
        engine.other, thread.other = thread, engine
        await self._dialer.connect(engine)
        self._halves += [engine, thread]
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            await self._loop.create_connection(lambda: thread, sock=ours)
        except BaseException:
            ours.close()
            theirs.close()
            raise
        if self._closed or engine.lost:
            thread.abort()
            engine.abort()
        return theirs


class _Half(asyncio.Protocol):
    """One end of a connection: the engine's, or the thread's."""

    other: _Half

    def __init__(self, owner: ThreadSockets, *, is_engine: bool) -> None:
        self._owner, self.is_engine = owner, is_engine
        self.transport: asyncio.Transport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._owner.pass_on(self, data)

    def pause_writing(self) -> None:
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        # A transport that was closed while it still had bytes to write cannot be aborted any more once it has ended.
        self.lost, self.transport = True, None
        if self.other.transport is not None:
            self.other.transport.close()  # after what is still to be written

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _closed(address: str) -> errors.Unreachable:
    return errors.Unreachable(
        f"Quarterdeck has closed its connection to {address}.",
        hint="Give the command again. If it fails again, check that the engine runs: engines",
    )
