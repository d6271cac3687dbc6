"""HTTP/1.1 as bytes, without a socket: a request goes in as words and out as bytes, a response the other way round.

`Endpoint` says where an engine listens, `compose` writes one request and refuses anything that could smuggle in a
second, and `Parser` takes one response in blocks cut anywhere. Body bytes leave the parser in order, as they come;
chunk extensions and trailers are read past and lost. Whatever breaks the grammar is InvalidResponse, at once and for
good.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from core import errors

LONGEST_HEAD = 64 << 10  # status line and headers, or all trailers
LONGEST_SIZE_LINE = 4 << 10  # a chunk's size with its extensions

_METHOD = re.compile(r"[A-Z]+")
_TARGET = re.compile(r"/[!-~]*")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t -~]*")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"})


_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?")
_LENGTH = re.compile(r"[0-9]{1,18}")


def compose(method: str, target: str, body: bytes | None, headers: Mapping[str, str] | None) -> bytes:
    """One request as bytes; BadUsage where a word could end its line and begin another request.

    `target` must be percent-encoded already. A body is application/json unless `headers` says otherwise.
    """
    if not _METHOD.fullmatch(method):
        raise errors.BadUsage(f"{method!r} is not an HTTP method.", hint="Methods are capital letters: GET, POST.")
    if not _TARGET.fullmatch(target):
        raise errors.BadUsage(
            f"The engine request {target[:80]!r} holds a character that may not stand there.",
            hint="Names with spaces, control characters or letters outside ASCII must be percent-encoded.",
        )
    given = dict(headers or {})
    lines = [f"{method} {target} HTTP/1.1", "Host: docker", "User-Agent: quarterdeck"]
    for name, value in given.items():
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise errors.BadUsage(f"The header {name[:80]!r} may not be set here.", hint="Leave it out.")
        if not _VALUE.fullmatch(value):  # the value may be a registry password: never shown
            raise errors.BadUsage(
                f"The header {name} holds a character that may not stand there.", hint="Encode it as base64 or percent."
            )
        lines.append(f"{name}: {value}")
    if body is not None and "content-type" not in {name.lower() for name in given}:
        lines.append("Content-Type: application/json")
    if body is not None or method not in {"GET", "HEAD"}:
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join([*lines, "\r\n"]).encode("ascii") + (body or b"")


class _Sizes(dict[bytes, int]):
    """Chunk size line → size. A dict hit costs a small part of parsing; only lines of up to three digits (chunks below
    4 KiB, so every event) are kept, and it cannot outgrow about 11,000 entries."""

    def __missing__(self, line: bytes) -> int:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise errors.InvalidResponse("The engine sent a chunk without a readable size.")
        size = int(match[1], 16)
        if len(line) <= 3:
            self[line] = size
        return size


_SIZES = _Sizes()


class _Part(enum.Enum):
    """The part of a response the next byte belongs to."""

    HEAD = enum.auto()
    LENGTH = enum.auto()
    UNTIL_CLOSE = enum.auto()
    CHUNKS = enum.auto()
    IN_CHUNK = enum.auto()
    CHUNK_END = enum.auto()
    TRAILERS = enum.auto()


class Parser:
    """One response. `status` is 0 until the head is in; `done` is True once the body is.

    `keep`: the server will take another request on this connection. `rest`: bytes past the end, which nobody asked for.
    """

    __slots__ = ("_bodiless", "_carry", "_left", "_part", "done", "headers", "keep", "rest", "status")

    def __init__(self, *, bodiless: bool = False) -> None:
        """`bodiless`: the request was a HEAD, so no body follows whatever the headers say."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self.keep = False
        self.rest = b""
        self._bodiless = bodiless
        self._part = _Part.HEAD
        self._carry = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next block, cut anywhere; the body bytes it held. Raises InvalidResponse."""
        if self._carry:
            data, self._carry = self._carry + data, b""
        out: list[bytes] = []
        while data and not self.done:
            match self._part:
                case _Part.CHUNKS:
                    data = self._read_chunks(data, out)
                case _Part.IN_CHUNK | _Part.LENGTH:
                    data = self._read_counted(data, out)
                case _Part.CHUNK_END:
                    data = self._read_chunk_end(data)
                case _Part.UNTIL_CLOSE:
                    out.append(data)
                    data = b""
                case _Part.TRAILERS:
                    data = self._read_trailers(data)
                case _Part.HEAD:
                    data = self._read_head(data)
        if data:
            self.rest += data
        return b"".join(out)

    def finish(self) -> bool:
        """The server closed: True when that is a proper end, False when the response was cut."""
        if self._part is _Part.UNTIL_CLOSE:
            self.done = True
        return self.done

    def _read_chunks(self, data: bytes, out: list[bytes]) -> bytes:
        # The hot loop: Docker sends each event as a chunk of its own, hundreds to a block.
        position, length, sizes, append = 0, len(data), _SIZES, out.append
        while True:
            line_end = data.find(b"\r\n", position, position + LONGEST_SIZE_LINE)
            if line_end < 0:
                if length - position >= LONGEST_SIZE_LINE:
                    raise errors.InvalidResponse("The engine sent a chunk without a readable size.")
                self._carry = data[position:]
                return b""
            size = sizes[data[position:line_end]]
            start = line_end + 2
            end = start + size
            if not size or end + 2 > length:
                break
            if data[end : end + 2] != b"\r\n":
                raise errors.InvalidResponse("The engine sent a chunk longer than it said.")
            append(data[start:end])
            position = end + 2
        self._part = _Part.IN_CHUNK if size else _Part.TRAILERS
        self._left = size
        return data[start:]

    def _read_counted(self, data: bytes, out: list[bytes]) -> bytes:
        piece = data[: self._left]
        out.append(piece)
        self._left -= len(piece)
        if not self._left:
            if self._part is _Part.IN_CHUNK:
                self._part = _Part.CHUNK_END
            else:
                self.done = True
        return data[len(piece) :]

    def _read_chunk_end(self, data: bytes) -> bytes:
        if not b"\r\n".startswith(data[:2]):
            raise errors.InvalidResponse("The engine sent a chunk longer than it said.")
        if len(data) < 2:
            self._carry = data
            return b""
        self._part = _Part.CHUNKS
        return data[2:]

    def _read_trailers(self, data: bytes) -> bytes:
        if data.startswith(b"\r\n"):
            self.done = True
            return data[2:]
        end = data.find(b"\r\n\r\n", 0, LONGEST_HEAD)
        if end >= 0:
            self.done = True
            return data[end + 4 :]
        if len(data) >= LONGEST_HEAD:
            raise errors.InvalidResponse("The engine sent trailers without an end.")
        self._carry = data
        return b""

    def _read_head(self, data: bytes) -> bytes:
        if not data.startswith(b"HTTP/1.") and not b"HTTP/1.".startswith(data):
            raise errors.InvalidResponse(
                "What listens there does not speak HTTP/1.1.", hint="Is it really the socket of Docker or Podman?"
            )
        end = data.find(b"\r\n\r\n", 0, LONGEST_HEAD)
        if end < 0:
            if len(data) >= LONGEST_HEAD:
                raise errors.InvalidResponse("The engine sent headers without an end.")
            self._carry = data
            return b""
        status_line, *lines = data[:end].split(b"\r\n")
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise errors.InvalidResponse("The engine sent a status line that is none.")
        status = int(match[2])
        if status == 101:
            raise errors.InvalidResponse("The engine changed to another protocol without being asked.")
        if status >= 200:  # below are interim answers: the real one follows
            headers = _read_headers(lines)
            self._choose_framing(status, headers, newer=match[1] == b"1")
            self.status, self.headers = status, headers
        return data[end + 4 :]

    def _choose_framing(self, status: int, headers: Mapping[str, str], *, newer: bool) -> None:
        options = {word.strip().lower() for word in headers.get("connection", "").split(",")}
        self.keep = "close" not in options if newer else "keep-alive" in options
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if self._bodiless or status in {204, 304}:
            self.done = True
        elif coding is not None:
            if coding.lower() != "chunked":
                raise errors.InvalidResponse("The engine packed its answer in a way nobody asked for.")
            # Both at once is how smuggled responses look; chunked counts, and nothing may follow on this connection.
            self.keep = self.keep and length is None
            self._part = _Part.CHUNKS
        elif length is not None:
            said = {word.strip() for word in length.split(",")}
            if len(said) != 1 or not _LENGTH.fullmatch(word := said.pop()):
                raise errors.InvalidResponse("The engine sent a content length that is no number.")
            self._left = int(word)
            self._part = _Part.LENGTH
            self.done = not self._left
        else:
            self.keep = False
            self._part = _Part.UNTIL_CLOSE


def _read_headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise errors.InvalidResponse("The engine sent a header that is none.")
        name, value = match[1].decode("ascii").lower(), match[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
