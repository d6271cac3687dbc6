"""Parses the lines of a CRI log (`time stream tag text`), and joins partial lines.

The tag `P` (partial) means that the line continues in the next entry of the same stream. An engine writes `P` for a
long line or a prompt; CRI-O writes it for every write of the program. The tag `F` (full) means that the line ends with
this entry.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime

from core.model.results import MAX_PAGE_CHARACTERS, LogLine

MAX_LINE_BYTES = 16_384
MAX_REST_BYTES = 4 * MAX_LINE_BYTES  # stored of a line whose newline has not been read yet
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")
_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


class LineParser:
    """Parses pieces of the file (`feed`) into lines (`take`). Only the newest `max_lines` lines and `max_characters`
    characters are stored; older lines are only counted. `since_ns`: lines from before this time are left out;
    `until_ns`: lines from after this time are, if it is not 0. A line is cut at `MAX_LINE_BYTES`."""

    def __init__(
        self, max_lines: int, *, max_characters: int = MAX_PAGE_CHARACTERS, since_ns: int = 0, until_ns: int = 0
    ) -> None:
        self.lines: deque[LogLine] = deque()
        self.max_lines, self._max_characters = max_lines, max_characters
        self._characters = 0  # of the stored lines
        self.dropped = 0
        self.too_large = 0  # of the dropped lines: those dropped because of their characters
        self.since_ns, self.until_ns = since_ns, until_ns
        self._rest = b""
        self._rest_cut = 0  # bytes of the unfinished line that are not stored
        self._partial: dict[str, tuple[str, bytearray, int]] = {}  # by stream: time, text, and bytes that were cut off

    @property
    def rest_size(self) -> int:
        """Bytes after the last newline."""
        return len(self._rest) + self._rest_cut

    def feed(self, data: bytes) -> None:
        begun, cut = self._rest, self._rest_cut
        *whole, self._rest = (begun + data).split(b"\n")
        for number, line in enumerate(whole):
            if line:
                self._parse(line, 0 if number else cut)
        excess = max(0, len(self._rest) - MAX_REST_BYTES)
        self._rest = self._rest[:MAX_REST_BYTES]
        self._rest_cut = excess if whole else cut + excess

    def finish(self) -> None:
        """Adds the partial lines as lines, although their end was not written."""
        for stream, (at, text, cut) in self._partial.items():
            self._append(at, stream, bytes(text), cut)
        self._partial.clear()

    def take(self) -> tuple[list[LogLine], int]:
        """Returns the lines since the last call, and how many lines before them were dropped."""
        lines, dropped = list(self.lines), self.dropped
        self.lines.clear()
        self.dropped = self._characters = 0
        return lines, dropped

    def _parse(self, line: bytes, lost: int) -> None:
        """Parses one entry. `lost`: bytes of it that were not stored."""
        at, stream, partial, text = _split(line)
        if not partial and not lost and stream not in self._partial and len(text) <= MAX_LINE_BYTES:
            self._append(at, stream, text, 0)
            return
        first_at, before, cut = self._partial.pop(stream, (at, bytearray(), 0))
        room = MAX_LINE_BYTES - len(before)
        before += text[:room]
        cut += max(0, len(text) - room) + lost
        if partial:
            self._partial[stream] = (first_at, before, cut)
        else:
            self._append(first_at, stream, bytes(before), cut)

    def _append(self, at: str, stream: str, data: bytes, cut: int) -> None:
        if self.since_ns and at and (nanoseconds(at.encode()) or 0) < self.since_ns:
            return
        if self.until_ns and at and (nanoseconds(at.encode()) or 0) > self.until_ns:
            return
        text = data.decode("utf-8", "replace").rstrip("\r")
        if cut:
            text += f"… ({cut:,} more bytes)"
        self.lines.append(LogLine(at, stream, text))
        self._characters += len(text)
        while len(self.lines) > self.max_lines or (self._characters > self._max_characters and len(self.lines) > 1):
            self.too_large += len(self.lines) <= self.max_lines
            self._characters -= len(self.lines.popleft().text)
            self.dropped += 1


def _split(line: bytes) -> tuple[str, str, bool, bytes]:
    """Splits an entry into time, stream, whether the line is partial, and text. An entry of another format is all
    text."""
    parts = line.split(b" ", 3)
    if len(parts) >= 3 and (stream := _STREAMS.get(parts[1])) and _TIME.fullmatch(parts[0]):
        # There may be several tags, separated by colons. The first one is P or F.
        return parts[0].decode(), stream, parts[2].split(b":", 1)[0] == b"P", parts[3] if len(parts) > 3 else b""
    return "", "stdout", False, line


def nanoseconds(line: bytes) -> int | None:
    """Parses the time at the start of a line into nanoseconds since the epoch."""
    found = _TIME.match(line)
    if found is None:
        return None
    zone = b"+00:00" if found[3] == b"Z" else found[3]
    try:
        whole = datetime.fromisoformat((found[1] + zone).decode())
    except ValueError:  # the form is right, but there is no such date
        return None
    return int(whole.timestamp()) * 1_000_000_000 + int((found[2] or b"0").ljust(9, b"0"))
