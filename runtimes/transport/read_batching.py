"""Joins the many small messages of a busy stream, so that they are read and processed together.

An engine writes each event separately. If each write woke the event loop and was processed alone, that would cost
several times as much. So there are two delays. After a read, the next one follows a few milliseconds later: the kernel
holds the messages meanwhile. And the received bytes are passed on only after some more milliseconds, because code that
runs after a pause is slow at first. The first message after a quiet time is read and passed on at once, with all before
it; the delays begin with the second. There is no pause after a read that returned much, because then the engine may be
waiting. So a fast stream is never slowed down. Times are in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

QUIET_SECONDS = 0.01  # messages that are further apart are read at once
TARGET_BYTES = 24 << 10  # of one read
# A read that returns more is followed by the next one at once. The kernel holds more than this for a stream, even of
# small messages, before the engine has to wait.
MUCH_BYTES = 32 << 10
MIN_SECONDS, MAX_SECONDS = 0.001, 0.004  # of a pause; the timer's resolution is a millisecond
JOINED_BYTES, JOINED_SECONDS = 192 << 10, 0.02


class ReadBatching:
    """Paces the reads of one connection. `transport`: the transport to pause. `deliver` receives the joined bytes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.ReadTransport, deliver: Callable[[bytes], None]
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._deliver = deliver
        self._read_at = 0.0
        self._joined: list[bytes] = []
        self._size = 0
        self._resume: asyncio.TimerHandle | None = None
        self._flush: asyncio.TimerHandle | None = None

    def received(self, data: bytes) -> None:
        """Call it with the bytes of each read."""
        size, now = len(data), self._loop.time()
        elapsed, self._read_at = now - self._read_at, now
        self._joined.append(data)
        self._size += size
        quiet = elapsed >= QUIET_SECONDS
        if not quiet and size < MUCH_BYTES and (seconds := elapsed * TARGET_BYTES / size) >= MIN_SECONDS:
            self._transport.pause_reading()
            self._resume = self._loop.call_later(min(seconds, MAX_SECONDS), self._transport.resume_reading)
        if quiet or self._size >= JOINED_BYTES:
            self.flush()
        elif self._flush is None:
            self._flush = self._loop.call_later(JOINED_SECONDS, self.flush)

    def flush(self) -> None:
        """Passes on what was read."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._joined:
            data, self._joined, self._size = b"".join(self._joined), [], 0
            self._deliver(data)

    def stop(self) -> None:
        """Forgets a pause and what was not passed on, because the connection is being closed."""
        for timer in (self._resume, self._flush):
            if timer is not None:
                timer.cancel()
        self._resume = self._flush = None
        self._joined, self._size = [], 0
