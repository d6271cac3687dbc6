"""Separates stdout from stderr in the output of an exec session (Docker and Podman)."""

from __future__ import annotations

MAX_OUTPUT = 64 << 10  # bytes of each stream
STDOUT, STDERR = 1, 2


class ExecOutputDecoder:
    """Collects stdout and stderr from chunks of any size, which are passed to `feed`.

    The chunks contain frames: `TYPE 0 0 0 LENGTH`, then LENGTH bytes. `dropped` counts the bytes beyond `max_bytes` of
    each stream.
    """

    def __init__(self, max_bytes: int = MAX_OUTPUT) -> None:
        self.dropped = 0
        self._max_bytes = max_bytes
        self._data = {STDOUT: bytearray(), STDERR: bytearray()}
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
            data = self._data[self._stream]
            space = max(0, self._max_bytes - len(data))
            data += part[:space]
            self.dropped += max(0, len(part) - space)
            at += len(part)
            self._left -= len(part)
        self._head = bytes(view[at:])

    def text(self, stream: int) -> str:
        """Returns the output of one stream, STDOUT or STDERR."""
        return self._data[stream].decode("utf-8", "replace")
