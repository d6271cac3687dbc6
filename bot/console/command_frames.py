"""Encodes and decodes the messages (frames) between `quarterdeck do` or `console` and the running bot, on the private
socket `commands.sock`.

A frame is one byte for its kind, four bytes for the length of its content, and the content. JSON contents are one
object in UTF-8. The bot greets first; the client sends a request only if it accepts the greeting. After the request the
bot sends output in the order in which a terminal shows it, and at last the exit code.

    bot     GREETING  {"v", "version", "state", "sources"}     client  REQUEST  see command_client.Request
            ACCEPTED  {"read_only"}                                    SAVED    {"text", "tone"}, after a file
            STDOUT, STDERR  text in UTF-8                              BROKEN   nobody reads the output any more
                                                                       INTERRUPT  Ctrl-C during a change
            FILE      {"to", "name"}, then CONTENT … CONTENT (empty)
            END       {"code", "choices"}

`v` changes with the meaning of any frame. A client that finds another `v` or `version` runs the command itself. Few
modules are imported, so that the client starts fast.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

PROTOCOL = 2
SOCKET = "commands.sock"  # in the state directory
GREETING, ACCEPTED, STDOUT, STDERR, FILE, CONTENT, END = b"g", b"a", b"o", b"e", b"f", b"c", b"x"
REQUEST, SAVED, BROKEN, INTERRUPT = b"r", b"s", b"b", b"i"
FROM_BOT = GREETING + ACCEPTED + STDOUT + STDERR + FILE + CONTENT + END
FROM_CLIENT = REQUEST + SAVED + BROKEN + INTERRUPT
MAX_CONTENT = 1 << 20  # bytes of one frame
MAX_REQUEST = 64 << 10
_TEXT_CHARACTERS = MAX_CONTENT // 4
_HEAD = 5


class FrameError(Exception):
    """The other side sent bytes that are not a frame."""


def encode(kind: bytes, content: bytes | Mapping[str, Any] = b"") -> bytes:
    """Returns one frame. `content` may not be longer than MAX_CONTENT."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return kind + len(data).to_bytes(4, "big") + data


def encode_text(kind: bytes, text: str) -> bytes:
    """Returns the frames of a text of any length. Each frame has whole characters."""
    parts = (text[at : at + _TEXT_CHARACTERS] for at in range(0, len(text), _TEXT_CHARACTERS))
    return b"".join(encode(kind, part.encode("utf-8", "replace")) for part in parts)


def decode_object(content: bytes) -> dict[str, Any]:
    """Returns the object of a JSON content. Raises FrameError."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FrameError("the content is not JSON") from error
    if not isinstance(found, dict):
        raise FrameError("the content is not a JSON object")
    return found


class Decoder:
    """Divides a stream of bytes into frames. `kinds`: those that may arrive; `most`: bytes of the longest content."""

    def __init__(self, kinds: bytes, most: int = MAX_CONTENT) -> None:
        self._kinds, self._most = kinds, most
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yields the kind and content of each frame that is complete. Raises FrameError."""
        self._bytes += data
        while len(self._bytes) >= _HEAD:
            kind, length = bytes(self._bytes[:1]), int.from_bytes(self._bytes[1:_HEAD], "big")
            if kind not in self._kinds:
                raise FrameError(f"unknown kind of frame {kind!r}")
            if length > self._most:
                raise FrameError(f"a frame of {length:,} bytes; the maximum is {self._most:,}")
            if len(self._bytes) < _HEAD + length:
                return
            content = bytes(self._bytes[_HEAD : _HEAD + length])
            del self._bytes[: _HEAD + length]
            yield kind, content
