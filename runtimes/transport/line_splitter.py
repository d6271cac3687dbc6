"""Splits a stream of bytes into batches of whole lines, and limits the length of an unfinished line.

Chunks may have any size. A batch contains the lines that ended with one chunk, separated by newlines, without the last
newline. Lines stay in order. If the stream ends without a newline, its last line is not returned but stored in `rest`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from core import errors

MAX_LINE = 1 << 20  # bytes


class LineReader:
    """Iterates over the batches of lines. `read` returns the next chunk; at the end of the stream it returns nothing
    or raises StopAsyncIteration. `sender` names the engine in errors."""

    def __init__(self, read: Callable[[], Awaitable[bytes]], sender: str) -> None:
        self._read = read
        self._splitter = LineSplitter(sender)
        self._feed = self._splitter.feed

    @property
    def rest(self) -> bytes:
        return self._splitter.rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Raises InvalidResponse for a line longer than MAX_LINE, and whatever `read` raises."""
        while chunk := await self._read():
            if lines := self._feed(chunk):
                return lines
        raise StopAsyncIteration


class LineSplitter:
    """Feed it chunks; it returns the lines that ended with each. `rest` is the beginning of the next line."""

    def __init__(self, sender: str) -> None:
        self._sender = sender
        self.rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Empty if no line ended. Raises InvalidResponse if an unfinished line is longer than MAX_LINE."""
        whole, newline, tail = chunk.rpartition(b"\n")
        if newline:
            lines, self.rest = self.rest + whole, tail
        else:
            lines, self.rest = b"", self.rest + chunk
        if len(self.rest) > MAX_LINE:
            raise errors.InvalidResponse(
                f"{self._sender} sent a line longer than {MAX_LINE >> 20} MiB.",
                hint="Check that its address is that of a container engine.",
            )
        return lines
