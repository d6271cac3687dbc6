"""Splits a stream of bytes into batches of whole lines, and limits the length of a line.

Chunks may have any size. A batch contains the lines that ended with one chunk, separated by newlines. There may be
another newline after the last one. Lines stay in order. If the stream ends without a newline, its last line is not
returned but stored in `rest`. A line that is longer than MAX_LINE is left out and reported; the lines after it are
returned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

MAX_LINE = 1 << 20  # bytes


def _ignore() -> None:
    """Reports nothing."""


class LineReader:
    """Iterates over the batches of lines. `read` returns the next chunk; at the end of the stream it returns nothing
    or raises StopAsyncIteration. `on_long_line` is called for each line that is left out."""

    def __init__(self, read: Callable[[], Awaitable[bytes]], on_long_line: Callable[[], None] = _ignore) -> None:
        self._read = read
        self._splitter = LineSplitter(on_long_line)
        self._feed = self._splitter.feed

    @property
    def rest(self) -> bytes:
        return self._splitter.rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Raises whatever `read` raises."""
        while chunk := await self._read():
            if lines := self._feed(chunk):
                return lines
        raise StopAsyncIteration


class LineSplitter:
    """Feed it chunks; it returns the lines that ended with each. The chunks of an unfinished line are joined when the
    line ends, so a long line that arrives in small chunks is copied only once. `on_long_line` is called for each line
    that is left out."""

    def __init__(self, on_long_line: Callable[[], None] = _ignore) -> None:
        self._on_long_line = on_long_line
        self._in_long_line = False
        self._begun: list[bytes] = []
        self._size = 0

    @property
    def rest(self) -> bytes:
        """The beginning of the next line."""
        return b"".join(self._begun)

    def feed(self, chunk: bytes) -> bytes:
        """Empty if no line ended."""
        if not self._begun and not self._in_long_line and chunk.endswith(b"\n"):
            return chunk
        whole, newline, tail = chunk.rpartition(b"\n")
        if self._in_long_line:
            if not newline:
                return b""
            self._in_long_line = False
            whole = whole.partition(b"\n")[2]
        if newline:
            lines = b"".join((*self._begun, whole)) if self._begun else whole
            self._begun = [tail] if tail else []
            self._size = len(tail)
        else:
            lines = b""
            self._begun.append(chunk)
            self._size += len(chunk)
        if self._size > MAX_LINE:
            self._begun, self._size, self._in_long_line = [], 0, True
            self._on_long_line()
        return lines
