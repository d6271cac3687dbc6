"""Decodes the bytes of a Docker log into lines. The bytes are frames of stdout and stderr, or a terminal's raw output.

Chunks may have any size. Lines stay in the daemon's order. Memory is limited: only the newest `max_lines` lines and
`max_characters` characters are stored, older lines are counted, and a line is cut at `max_line` bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from core.model.results import MAX_PAGE_CHARACTERS, LogLine
from runtimes.formats import timestamps

MAX_LINE = 16_384  # bytes
PIECE = 16_384  # bytes; of empty lines, these take some 30 ms to decode
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


class LogDecoder:
    """Decodes chunks, which are passed to `feed`, to lines, which `take` returns.

    With `timestamps=1` each line begins with an RFC 3339 time and a space.

    `after`: lines with an earlier time are skipped, and so are the first `seen` lines with exactly that time. `newest`:
    the latest time received that is not before `after`, and how many lines had it. `until`: later lines are skipped;
    `later` counts them."""

    def __init__(
        self,
        max_lines: int,
        *,
        max_characters: int = MAX_PAGE_CHARACTERS,
        max_line: int = MAX_LINE,
        after: str = "",
        seen: int = 0,
        until: str = "",
    ) -> None:
        self.lines: deque[LogLine] = deque()
        self._max_lines, self._max_characters = max_lines, max_characters
        self._characters = 0  # of the stored lines
        self.dropped = 0
        self.too_large = 0  # of the dropped lines: those dropped because of their characters
        self.newest = ("", 0)
        self._after, self._seen, self._until = after, seen, until
        self.later = 0
        self._max_line = max_line
        self._framed: bool | None = None  # None until the first bytes have arrived
        self._buffer = bytearray()
        self._open: dict[str, bytearray] = {}  # per stream: an unfinished line
        self._cut: dict[str, int] = {}  # per stream: bytes cut off that line
        self._stream = "stdout"
        self._left = 0  # bytes of the current frame that are still missing

    def feed(self, chunk: bytes) -> None:
        self._buffer += chunk
        if self._framed is None:
            if len(self._buffer) < 4:
                return
            self._framed = _is_frame(self._buffer)
        if self._framed:
            self._take_frames()
        else:
            self._take("stdout", bytes(self._buffer))
            self._buffer.clear()

    def finish(self) -> None:
        """Ends the body: an unfinished line becomes a line."""
        if self._framed is None and self._buffer:
            self._take("stdout", bytes(self._buffer))
        for stream in list(self._open):
            if self._open[stream]:
                self._end_line(stream)

    def take(self) -> tuple[list[LogLine], int]:
        """Returns the lines since the last call, and how many lines before them were dropped."""
        lines, dropped = list(self.lines), self.dropped
        self.lines.clear()
        self.dropped = self._characters = 0
        return lines, dropped

    def _take_frames(self) -> None:
        buffer, at, size = bytes(self._buffer), 0, len(self._buffer)
        while at < size:
            if not self._left:
                if size - at < 8:
                    break
                stream = self._stream = STREAMS.get(buffer[at], "stdout")
                length = int.from_bytes(buffer[at + 4 : at + 8], "big")
                at += 8
                # Usually a frame is exactly one line.
                end = at + length
                last = end - 1
                if length <= self._max_line and not self._open.get(stream) and buffer.find(b"\n", at, end) == last:
                    self._line(stream, buffer[at:last], self._cut.pop(stream, 0))
                    at = end
                else:
                    self._left = length
                continue
            part = buffer[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            self._take(self._stream, part)
        del self._buffer[:at]

    def _take(self, stream: str, data: bytes) -> None:
        parts = data.split(b"\n")
        for index, part in enumerate(parts):
            line = self._open.setdefault(stream, bytearray())
            space = self._max_line - len(line)
            line += part[: max(space, 0)]
            self._cut[stream] = self._cut.get(stream, 0) + max(0, len(part) - max(space, 0))
            if index < len(parts) - 1:
                self._end_line(stream)

    def _end_line(self, stream: str) -> None:
        self._line(stream, bytes(self._open.pop(stream)), self._cut.pop(stream, 0))

    def _line(self, stream: str, text: bytes, cut: int) -> None:
        at = b""
        head, gap, rest = text.partition(b" ")
        if gap and head[4:5] == b"-" and head[10:11] == b"T":
            at, text = head, rest
        when = at.decode("ascii", "replace")
        if self._after and timestamps.is_before(when, self._after):
            return
        if self._until and timestamps.is_before(self._until, when):
            self.later += 1
            return
        if when == self.newest[0]:
            self.newest = (when, self.newest[1] + 1)
        elif timestamps.is_before(self.newest[0], when):
            self.newest = (when, 1)
        if self._after and self._seen > 0 and when == self._after:
            self._seen -= 1
            return
        shown = text.decode("utf-8", "replace").rstrip("\r")
        if cut:
            shown += f"… ({cut:,} more bytes)"
        self.lines.append(LogLine(when, stream, shown))
        self._characters += len(shown)
        while len(self.lines) > self._max_lines or (self._characters > self._max_characters and len(self.lines) > 1):
            self.too_large += len(self.lines) <= self._max_lines
            self._characters -= len(self.lines.popleft().text)
            self.dropped += 1


async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cuts the chunks of a log into pieces of at most PIECE bytes, and lets the event loop run before each further
    piece."""
    async for chunk in chunks:
        yield chunk[:PIECE]
        for at in range(PIECE, len(chunk), PIECE):
            await asyncio.sleep(0)
            yield chunk[at : at + PIECE]


def _is_frame(head: bytearray) -> bool:
    # A terminal's stream begins with these bytes only if the program writes a control character and three nulls.
    return head[0] in STREAMS and head[1:4] == b"\0\0\0"
