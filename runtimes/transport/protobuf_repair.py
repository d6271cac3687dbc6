"""Repairs a protobuf message that the library refuses, so that one damaged text or element does not make the rest
unreadable.

In a text, bytes that are not UTF-8 are replaced (Go's older libraries send them unchecked). An element of a list that
is cut off or malformed is left out. Fields that the message type does not have are kept as they are.
"""

from __future__ import annotations

from typing import Any

MAX_REPAIRED = 4 << 20  # bytes; the repair is slow
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STRING, _MESSAGE = 9, 11  # types of fields, as a descriptor numbers them
_MAX_DEPTH = 50


def repair(message_type: Any, data: bytes) -> bytes | None:
    """Returns the repaired bytes of a message with this descriptor; None if the message itself is malformed."""
    return _message(message_type, data, 0) if len(data) <= MAX_REPAIRED else None


def _message(message_type: Any, data: bytes, depth: int) -> bytes | None:
    fields, out, at = message_type.fields_by_number, bytearray(), 0
    while at < len(data):
        begin = at
        tag, at = _varint(data, at)
        wire = tag & 7
        if tag >> 3 == 0 or at < 0 or depth > _MAX_DEPTH:
            return None
        if wire == _BYTES:
            length, at = _varint(data, at)
            if at < 0 or at + length > len(data):
                return None
            value, at = data[at : at + length], at + length
            field = fields.get(tag >> 3)
            if field is not None and field.type == _STRING:
                value = value.decode("utf-8", "replace").encode()
            elif field is not None and field.type == _MESSAGE:
                repaired = _message(field.message_type, value, depth + 1)
                if repaired is None:
                    # A lost entry of a map might be a label that protects a container: then the whole container is.
                    if not field.is_repeated or field.message_type.GetOptions().map_entry:
                        return None
                    continue
                value = repaired
            out += _encoded(tag) + _encoded(len(value)) + value
            continue
        if wire == _VARINT:
            _, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            return None
        if not 0 <= at <= len(data):
            return None
        out += data[begin:at]
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at this position, and the position after it; -1 if the number is malformed."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    return 0, -1


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
