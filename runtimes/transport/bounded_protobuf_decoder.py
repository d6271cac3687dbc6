"""Decodes protobuf messages from engines, and limits the rows and the values that a message may have.

A row is one element of a repeated field, and may be only two bytes long. So a message of 16 MiB may have eight million
rows. Each row costs a hundred bytes of memory, and the decoder in C blocks the event loop until it ends. So the values
of a large message are counted before it is decoded, and it is decoded in slices, in a thread. A message with more than
MAX_ROWS rows or MAX_VALUES values is rejected as a whole: a list that is cut would look as if the other containers had
been removed. A message that the library refuses is repaired; see `protobuf_repair`.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar, cast

from core import errors
from runtimes.transport import protobuf_repair

SMALL = 64 << 10  # bytes of a message that is decoded at once, and of a slice
MAX_ROWS = 10_000  # of one list
MAX_VALUES = 1_000_000  # of one message: numbers, texts and messages at any depth
MAX_ROW_VALUES = 100_000  # of one row, which is decoded at once; a container has about a hundred
MAX_DEPTH = 100  # as in the library
HINT = "Check with the engine's own command how many resources it has, and remove those that are not used."
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MESSAGE, _TEXTS = 11, (9, 12)  # types of fields, as a descriptor numbers them
_PACKED: Final = object()

M = TypeVar("M", bound="ProtobufMessage")


class ProtobufMessage(Protocol):
    """Declares what every generated message has."""

    DESCRIPTOR: Any

    def SerializeToString(self) -> bytes: ...  # noqa: N802 (protobuf's name)

    def MergeFromString(self, data: bytes, /) -> int: ...  # noqa: N802 (protobuf's name)

    @classmethod
    def FromString(cls, data: bytes, /) -> Any: ...  # noqa: N802 (protobuf's name)


async def decode(kind: type[M], data: bytes, *, engine: str, on_skipped: Callable[[str, str], None]) -> M:
    """Decodes a message. `on_skipped` is called with what was left out (`field` or `row`) and why. Raises
    InvalidResponse."""
    try:
        try:
            if len(data) <= SMALL:
                return cast(M, kind.FromString(data))
            return await asyncio.to_thread(_decode_large, kind, data)
        except _decode_error():
            message = await asyncio.to_thread(_repair, kind, data)  # takes up to four seconds
    except TooManyValuesError as error:
        on_skipped("row", f"a message has more than {error}")
        raise errors.InvalidResponse(f"{engine} sent a message with more than {error}.", hint=HINT) from None
    if message is None:
        raise errors.InvalidResponse(
            f"{engine} sent a gRPC message that cannot be decoded.",
            hint="Check that Quarterdeck supports this version of the engine.",
        )
    on_skipped("field", "a part of a gRPC message is malformed or not UTF-8")
    return message


class TooManyValuesError(Exception):
    """A message has more rows or values than allowed. Its text is the limit, such as `10,000 rows`."""


def _decode_large(kind: type[M], data: bytes) -> M:
    message = kind()
    _decode_slices(message, data, _slices(kind.DESCRIPTOR, data))
    return message


def _decode_slices(message: ProtobufMessage, data: bytes, ends: Sequence[int]) -> None:
    begin = 0
    for end in ends:
        message.MergeFromString(data[begin:end])
        begin = end


def _repair(kind: type[M], data: bytes) -> M | None:
    repaired = protobuf_repair.repair(kind.DESCRIPTOR, data)
    if repaired is None:
        return None
    try:
        return _decode_large(kind, repaired)
    except _decode_error():
        return None


def _slices(message_type: Any, data: bytes) -> list[int]:
    """Returns where a message can be cut, so that its parts have about SMALL bytes each; the last is its end. Raises
    TooManyValuesError, and DecodeError for a malformed message."""
    parts, ends, rows, values, at, begin = _parts(message_type), [], Counter[int](), 0, 0, 0
    try:
        while at < len(data):
            number, at, more = _skip(parts, data, at, len(data), 0)
            values += more
            if values > MAX_VALUES:
                raise TooManyValuesError(f"{MAX_VALUES:,} values")
            if (part := parts.get(number)) is not None and part is not _PACKED:
                rows[number] += 1
                if rows[number] > MAX_ROWS:
                    raise TooManyValuesError(f"{MAX_ROWS:,} rows")
            if at - begin >= SMALL:
                ends.append(begin := at)
    except IndexError:
        raise _decode_error()("The message is cut off.") from None
    return [*ends, at]


def _skip(parts: dict[int, Any], data: bytes, at: int, end: int, depth: int) -> tuple[int, int, int]:
    """Reads one field. Returns its number, the position after it, and how many values it holds."""
    tag, at = _number(data, at)
    wire, values = tag & 7, 1
    if wire == _BYTES:
        length, at = _number(data, at)
        begin, at = at, at + length
        part = parts.get(tag >> 3)
        if part is _PACKED:
            values += length
        elif part is not None and at <= end:
            inner, values = _parts(part), 1
            if depth >= MAX_DEPTH:
                raise _decode_error()("The message is nested too deeply.")
            while begin < at:
                _, begin, more = _skip(inner, data, begin, at, depth + 1)
                values += more
                if values > MAX_ROW_VALUES:
                    break
    elif wire == _VARINT:
        _, at = _number(data, at)
    elif wire in (_FIXED32, _FIXED64):
        at += 4 if wire == _FIXED32 else 8
    else:
        raise _decode_error()("The message has a field of an unknown kind.")
    if at > end or tag < 8:
        raise _decode_error()("The message is malformed.")
    if values > MAX_ROW_VALUES:
        raise TooManyValuesError(f"{MAX_ROW_VALUES:,} values in one row")
    return tag >> 3, at, values


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at this position, and the position after it."""
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for shift in range(7, 70, 7):
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
    raise _decode_error()("The message has a number without end.")


@functools.cache
def _parts(message_type: Any) -> dict[int, Any]:
    """Returns the type of each field that is a message, and _PACKED for a list of numbers, by the field's number."""
    parts: dict[int, Any] = {}
    for number, field in message_type.fields_by_number.items():
        if field.type == _MESSAGE:
            parts[number] = field.message_type
        elif field.is_repeated and field.type not in _TEXTS:
            parts[number] = _PACKED
    return parts


@functools.cache
def _decode_error() -> Any:
    """Returns the error of the library, which is imported only if an engine uses gRPC."""
    return importlib.import_module("google.protobuf.message").DecodeError
