"""Docker's log bodies into lines: frames of stdout and stderr, or a bare terminal stream, in chunks of any size.

Bounded whatever a container writes: the newest `keep` lines stay, older ones are counted, and a line is cut at `clip`
bytes. Nothing is reordered: lines come out as the daemon sent them.
"""

from __future__ import annotations

from collections import deque

from core.model.results import LogLine

CLIP = 16_384
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


class LogReader:
    """Feed it chunks, then take `lines`. With `timestamps=1` every line begins with an RFC 3339 time and a space.

    `after`: lines of earlier times are left out, and the first `seen` ones of that very time. `newest`: the latest time
    of all that came, and how many lines had it."""

    def __init__(self, keep: int, *, clip: int = CLIP, after: str = "", seen: int = 0) -> None:
        self.lines: deque[LogLine] = deque(maxlen=keep)
        self.dropped = 0
        self.newest = ("", 0)
        self._after, self._seen = after, seen
        self._clip = clip
        self._framed: bool | None = None  # known with the first bytes
        self._buffer = bytearray()
        self._open: dict[str, bytearray] = {}  # per stream: a line that has begun
        self._cut: dict[str, int] = {}  # per stream: bytes of that line left out
        self._stream = "stdout"
        self._left = 0  # bytes of the current frame still to come

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
        """The body is complete: what has no newline yet is a line too."""
        if self._framed is None and self._buffer:
            self._take("stdout", bytes(self._buffer))
        for stream in list(self._open):
            if self._open[stream]:
                self._end_line(stream)

    def take(self) -> tuple[list[LogLine], int]:
        """The whole lines since the last take, and how many before them were dropped."""
        lines, dropped = list(self.lines), self.dropped
        self.lines.clear()
        self.dropped = 0
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
                # Nearly always a frame is one whole line.
                last = at + length - 1
                if length <= self._clip and not self._open.get(stream) and buffer.find(b"\n", at) == last:
                    self._line(stream, buffer[at:last], self._cut.pop(stream, 0))
                    at = last + 1
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
            room = self._clip - len(line)
            line += part[: max(room, 0)]
            self._cut[stream] = self._cut.get(stream, 0) + max(0, len(part) - max(room, 0))
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
        if when >= self.newest[0]:
            self.newest = (when, self.newest[1] + 1 if when == self.newest[0] else 1)
        if self._after and self._is_known(when):
            return
        words = text.decode("utf-8", "replace").rstrip("\r")
        if cut:
            words += f"… ({cut:,} more bytes)"
        if len(self.lines) == self.lines.maxlen:
            self.dropped += 1
        self.lines.append(LogLine(when, stream, words))

    def _is_known(self, at: str) -> bool:
        if at == self._after and self._seen > 0:
            self._seen -= 1
            return True
        return at < self._after


def _is_frame(head: bytearray) -> bool:
    # A terminal's stream could begin with these bytes only by writing a control character and three nulls.
    return head[0] in STREAMS and head[1:4] == b"\0\0\0"
