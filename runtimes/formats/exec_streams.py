"""Separates stdout from stderr in the frames of an exec session (Docker and Podman)."""

from __future__ import annotations

KEPT = 64 << 10  # bytes of each stream
STDOUT, STDERR = 1, 2


class Streams:
    """Frames of stdout and stderr, in chunks of any size: `TYPE 0 0 0 LENGTH` and so many bytes."""

    def __init__(self, keep: int = KEPT) -> None:
        self.cut = 0
        self._keep = keep
        self._kept = {STDOUT: bytearray(), STDERR: bytearray()}
        self._head = b""
        self._left, self._stream = 0, STDOUT

    def feed(self, chunk: bytes) -> None:
        view = memoryview(self._head + chunk)
        at = 0
        while at < len(view):
            if not self._left:
                if len(view) - at < 8:
                    break
                self._stream = STDERR if view[at] == STDERR else STDOUT
                self._left = int.from_bytes(view[at + 4 : at + 8], "big")
                at += 8
                continue
            part = view[at : at + self._left]
            kept = self._kept[self._stream]
            room = max(0, self._keep - len(kept))
            kept += part[:room]
            self.cut += max(0, len(part) - room)
            at += len(part)
            self._left -= len(part)
        self._head = bytes(view[at:])

    def text(self, stream: int) -> str:
        return self._kept[stream].decode("utf-8", "replace")
