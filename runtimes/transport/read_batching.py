"""Pauses the reading of a busy stream for a few milliseconds, so that one read returns many small messages.

An engine writes each event by itself. Without pauses, each write would wake the event loop, which costs several times
as much as the event. The first message after a quiet time is read at once; the pauses begin with the second. There is
none after a read that returned much, because then the engine may be waiting: a fast stream is never slowed down. Times
are in seconds.
"""

from __future__ import annotations

import asyncio

QUIET_SECONDS = 0.01  # messages that are further apart are read at once
TARGET_BYTES = 24 << 10  # of one read
# A read that returns more is followed by the next one at once. The kernel holds more than this for a stream, even of
# small messages, before the engine has to wait.
MUCH_BYTES = 32 << 10
MIN_SECONDS, MAX_SECONDS = 0.001, 0.004  # of a pause; the timer's resolution is a millisecond


class ReadBatching:
    """Paces the reads of one connection. `transport`: the transport to pause."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.ReadTransport) -> None:
        self._loop = loop
        self._transport = transport
        self._read_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def after_read(self, size: int) -> None:
        """Call it after each read, with the number of bytes."""
        now = self._loop.time()
        elapsed, self._read_at = now - self._read_at, now
        if size >= MUCH_BYTES or elapsed >= QUIET_SECONDS:
            return
        if (seconds := elapsed * TARGET_BYTES / size) >= MIN_SECONDS:
            self._transport.pause_reading()
            self._timer = self._loop.call_later(min(seconds, MAX_SECONDS), self._transport.resume_reading)

    def stop(self) -> None:
        """Forgets a pause, because the connection is being closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
