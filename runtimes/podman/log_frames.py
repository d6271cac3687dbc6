"""libpod's log frames, mended: what a container writes without an end of line comes in fragments of 8 KiB, each with a
time of its own; here only the first of a line keeps it. Whole frames in, whole frames out, in their order."""

from __future__ import annotations

from core import errors

LONGEST = 16 << 20


class Mended:
    def __init__(self) -> None:
        self._buffer = b""
        self._open: set[int] = set()

    def feed(self, chunk: bytes) -> bytes:
        buffer, at, out = self._buffer + chunk, 0, []
        while len(buffer) - at >= 8:
            stream, length = buffer[at], int.from_bytes(buffer[at + 4 : at + 8], "big")
            if length > LONGEST:
                raise errors.InvalidResponse("The engine sent a log that is not in frames.")
            end = at + 8 + length
            if len(buffer) < end:
                break
            if stream in self._open:
                text = _without_time(buffer[at + 8 : end])
                out += [buffer[at : at + 4], len(text).to_bytes(4, "big"), text]
            else:
                out.append(buffer[at:end])
            if buffer.endswith(b"\n", at + 8, end):
                self._open.discard(stream)
            elif length:
                self._open.add(stream)
            at = end
        self._buffer = buffer[at:]
        return b"".join(out)


def _without_time(text: bytes) -> bytes:
    head, gap, rest = text.partition(b" ")
    return rest if gap and head[4:5] == b"-" and head[10:11] == b"T" else text
