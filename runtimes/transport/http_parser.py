"""Parses HTTP/1.1 responses and encodes requests, without a socket.

`ResponseParser` takes the bytes of one response in blocks of any size and returns the body in order, as it arrives.
Chunk extensions and trailers are skipped. Bytes that break the protocol raise InvalidResponse, also at every later
call. `encode_request` returns the bytes of one request and refuses arguments that could insert a second request.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from core import errors

MAX_HEAD = 64 << 10  # bytes of the status line with all headers, or of all trailers
MAX_SIZE_LINE = 4 << 10  # bytes of a chunk's size with its extensions
MAX_CARRIED = 4 << 10  # bytes of an unfinished chunk

_METHOD = re.compile(r"[A-Z]+")
_TARGET = re.compile(r"/[!-~]*")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t -~]*")
_RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"})
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\r\n\0]*)")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?")
_LENGTH = re.compile(r"[0-9]{1,18}")


class _Part(enum.Enum):
    """Lists the parts of a response; the next byte belongs to one of them."""

    HEAD = enum.auto()
    LENGTH = enum.auto()
    UNTIL_CLOSE = enum.auto()
    CHUNKS = enum.auto()
    IN_CHUNK = enum.auto()
    CHUNK_END = enum.auto()
    TRAILERS = enum.auto()


class _Sizes(dict[bytes, int]):
    """Caches the number in a chunk's size line, which costs much less than parsing the line again. Only lines of up to
    three digits are cached (chunks below 4 KiB, so nearly every event): at most about 11,000 entries. `between`: the
    sizes of two or three digits, by the bytes from the end of a chunk to the beginning of one of this size."""

    def __init__(self) -> None:
        self.between: dict[bytes, int] = {}

    def __missing__(self, line: bytes) -> int:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise _damaged(f"“{_shown(line)}” is not the size of a chunk")
        size = int(match[1], 16)
        if len(line) <= 3:
            self[line] = size
            if size and len(line) >= 2:
                self.between[b"\r\n%b\r\n" % line] = size
        return size


_SIZES = _Sizes()


class ResponseParser:
    """Parses one response. `status` is 0 until the headers are complete; `done` is True once the body is complete.

    `keep_alive`: the server accepts another request on this connection. `rest`: bytes after the end of the response.
    `intact`: the bytes of the body that came before the damage in the same block.
    """

    __slots__ = ("_bodiless", "_carry", "_left", "_part", "done", "headers", "intact", "keep_alive", "rest", "status")

    def __init__(self, *, bodiless: bool = False) -> None:
        """Prepares for one response. `bodiless`: the request was a HEAD, so no body follows, whatever the headers
        say."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self.keep_alive = False
        self.rest = self.intact = b""
        self._bodiless = bodiless
        self._part = _Part.HEAD
        self._carry = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Parses the next block and returns the bytes of the body in it. Raises InvalidResponse."""
        if self._carry:
            data, self._carry = self._carry + data, b""
        out: list[bytes] = []
        try:
            while data and not self.done:
                data = self._read_part(data, out)
        except errors.InvalidResponse:
            self.intact = b"".join(out)
            raise
        if data:
            self.rest += data
        return b"".join(out)

    def _read_part(self, data: bytes, out: list[bytes]) -> bytes:
        """Reads as much of the current part as there is, and returns the bytes after it."""
        match self._part:
            case _Part.CHUNKS:
                return self._read_chunks(data, out)
            case _Part.IN_CHUNK | _Part.LENGTH:
                return self._read_counted(data, out)
            case _Part.CHUNK_END:
                return self._read_chunk_end(data)
            case _Part.UNTIL_CLOSE:
                out.append(data)
                return b""
            case _Part.TRAILERS:
                return self._read_trailers(data)
            case _Part.HEAD:
                return self._read_head(data)

    def unfinished_line(self) -> bytes:
        """Returns the part of a line that was held back until its chunk is complete, after the end of the input."""
        size_line, _, piece = self._carry.partition(b"\r\n") if self._part is _Part.CHUNKS else (b"", b"", b"")
        self._carry = b""
        return piece[: _SIZES[size_line]] if piece else b""

    def finish(self) -> bool:
        """Ends the input, because the server closed the connection. Returns whether the response is complete."""
        if self._part is _Part.UNTIL_CLOSE:
            self.done = True
        return self.done

    def _read_chunks(self, data: bytes, out: list[bytes]) -> bytes:
        position, length, sizes, append, many = 0, len(data), _SIZES, out.append, False
        while True:
            if (found := _read_usual_chunks(data, position, out)) > position:
                position, many = found, True
            line_end = data.find(b"\r\n", position, position + MAX_SIZE_LINE)
            if line_end < 0:
                if length - position >= MAX_SIZE_LINE:
                    raise _damaged("the line with the size of a chunk is too long")
                self._carry = data[position:]
                return b""
            size = sizes[data[position:line_end]]
            start = line_end + 2
            end = start + size
            if not size or end + 2 > length:
                if size and many and size < MAX_CARRIED and b"\r\n".startswith(data[end:]):
                    self._carry = data[position:]  # so that the next block begins with a whole chunk, too
                    return b""
                break
            if data[end : end + 2] != b"\r\n":
                raise _damaged("a chunk is longer than its header says")
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
            raise _damaged("a chunk is longer than its header says")
        if len(data) < 2:
            self._carry = data
            return b""
        self._part = _Part.CHUNKS
        return data[2:]

    def _read_trailers(self, data: bytes) -> bytes:
        if data.startswith(b"\r\n"):
            self.done = True
            return data[2:]
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end >= 0:
            self.done = True
            return data[end + 4 :]
        if len(data) >= MAX_HEAD:
            raise _damaged("its trailers are longer than 64 KiB")
        self._carry = data
        return b""

    def _read_head(self, data: bytes) -> bytes:
        if not data.startswith(b"HTTP/1.") and not b"HTTP/1.".startswith(data):
            raise errors.InvalidResponse(
                f"The server does not speak HTTP/1.1: its answer begins with “{_shown(data[:40])}”.",
                hint="Check that the engine's address in quarterdeck.yaml belongs to Docker or Podman.",
            )
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(data) >= MAX_HEAD:
                raise _damaged("its headers are longer than 64 KiB")
            self._carry = data
            return b""
        status_line, *lines = data[:end].split(b"\r\n")
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise _damaged(f"“{_shown(status_line)}” is not a status line")
        status = int(match[2])
        if status == 101:
            raise _damaged("it switches to another protocol (status 101), which Quarterdeck did not request")
        if status >= 200:  # below are interim responses: the final one follows
            headers = _read_headers(lines)
            self._choose_framing(status, headers, newer=match[1] == b"1")
            self.status, self.headers = status, headers
        return data[end + 4 :]

    def _choose_framing(self, status: int, headers: Mapping[str, str], *, newer: bool) -> None:
        options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
        self.keep_alive = "close" not in options if newer else "keep-alive" in options
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if self._bodiless or status in {204, 304}:
            self.done = True
        elif coding is not None:
            if coding.lower() != "chunked":
                raise _damaged(f"“{coding[:80]}” is not a supported Transfer-Encoding")
            # Both headers at once may be a smuggled response: chunked is used, and the connection is not used again.
            self.keep_alive = self.keep_alive and length is None
            self._part = _Part.CHUNKS
        elif length is not None:
            lengths = {part.strip() for part in length.split(",")}
            if len(lengths) != 1 or not _LENGTH.fullmatch(value := lengths.pop()):
                raise _damaged(f"“{length[:80]}” is not a valid Content-Length")
            self._left = int(value)
            self._part = _Part.LENGTH
            self.done = not self._left
        else:
            self.keep_alive = False
            self._part = _Part.UNTIL_CLOSE


def _read_usual_chunks(data: bytes, position: int, out: list[bytes]) -> int:
    """Reads chunks from `position` on as long as each of them and the next one have sizes that were seen before, of two
    or three digits. Returns the position of the first chunk that was not read.

    This is the hot path: Docker sends each event as a chunk of its own, and a block contains hundreds of them. The
    bytes between two chunks are looked up as a whole, so no other framing is accepted.
    """
    between, append = _SIZES.between.get, out.append
    begin, end, head = position, position - 2, b"\r\n" + data[position : position + 5]
    while True:
        if (size := between(head)) is not None:
            next_begin = end + 7
        elif (size := between(head[:6])) is not None:
            next_begin = end + 6
        else:
            return position
        if end > position:
            append(data[begin:end])
            position = end + 2
        begin, end = next_begin, next_begin + size
        head = data[end : end + 7]


def _read_headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise _damaged(f"“{_shown(line)}” is not an HTTP header")
        name, value = match[1].decode("ascii").lower(), match[2].strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _damaged(problem: str) -> errors.InvalidResponse:
    return errors.InvalidResponse(
        f"The engine's HTTP answer is damaged: {problem}.",
        hint="Check whether a proxy between Quarterdeck and the engine changes the answers.",
    )


def encode_request(method: str, target: str, body: bytes | None, headers: Mapping[str, str] | None) -> bytes:
    """Returns one request as bytes. `target` must be percent-encoded. A body is application/json unless `headers` say
    otherwise. Raises BadUsage for characters that could end a line and begin another request."""
    if not _METHOD.fullmatch(method):
        raise errors.BadUsage(
            f"{method!r} is not an HTTP method.", hint="Write it in capital letters, such as GET or POST."
        )
    if not _TARGET.fullmatch(target):
        raise errors.BadUsage(
            f"The engine request {target[:80]!r} contains a character that is not allowed.",
            hint="Percent-encode spaces, control characters and letters outside ASCII.",
        )
    given = dict(headers or {})
    lines = [f"{method} {target} HTTP/1.1", "Host: docker", "User-Agent: quarterdeck"]
    for name, value in given.items():
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise errors.BadUsage(f"The header {name[:80]!r} cannot be set.", hint="Remove this header.")
        if not _VALUE.fullmatch(value):  # the value may be a registry password: never shown
            raise errors.BadUsage(
                f"The header {name} contains a character that is not allowed.", hint="Use base64 or percent-encoding."
            )
        lines.append(f"{name}: {value}")
    if body is not None and "content-type" not in {name.lower() for name in given}:
        lines.append("Content-Type: application/json")
    if body is not None or method not in {"GET", "HEAD"}:
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join([*lines, "\r\n"]).encode("ascii") + (body or b"")


def _shown(data: bytes) -> str:
    """Returns the beginning of bytes from the network, for an error message."""
    return data[:80].decode("ascii", "backslashreplace").replace("\r", "")
