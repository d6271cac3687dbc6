"""Joins the fragments of long lines in a libpod log.

Podman sends a long line in frames of 8 KiB, and each frame has a time. Only the time of a line's first frame is used.
The input is chunks of bytes; the output is whole frames in the same order.
"""

from __future__ import annotations

from core import errors

MAX_FRAME = 16 << 20  # bytes


class LogFrameJoiner:
    """Joins the frames of each long line, and passes other lines on."""

    def __init__(self) -> None:
        self._buffer = b""
        self._later: list[bytes] = []  # chunks that arrived since, while the frame in `_buffer` is incomplete
        self._missing = 0  # bytes until that frame is complete
        self._open: set[int] = set()  # streams whose last frame did not end its line

    def feed(self, chunk: bytes) -> bytes:
        self._later.append(chunk)
        self._missing -= len(chunk)
        if self._missing > 0:  # a large frame that arrives in small chunks is copied only once
            return b""
        buffer, at, out = b"".join((self._buffer, *self._later)), 0, []
        self._later = []
        self._missing = 0
        while len(buffer) - at >= 8:
            stream, length = buffer[at], int.from_bytes(buffer[at + 4 : at + 8], "big")
            if length > MAX_FRAME:
                raise errors.InvalidResponse(
                    "Podman sent a log that Quarterdeck cannot decode, because it does not consist of frames.",
                    hint="Check that Quarterdeck supports this version of the engine.",
                )
            end = at + 8 + length
            if len(buffer) < end:
                self._missing = end - len(buffer)
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
    time, space, rest = text.partition(b" ")
    return rest if space and time[4:5] == b"-" and time[10:11] == b"T" else text
