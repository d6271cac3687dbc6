"""Reads the readable parts of a JSON value that does not match its model: the fields of the right type, one by one.

A field of the wrong type gets its default. An element of a list with the wrong type is left out. A label keeps its key:
a number becomes text, and anything else an empty text. The whole value is lost if a field without a default or an
essential field (`json_field_types`) is unreadable, or if it is not JSON at all.
"""

from __future__ import annotations

import functools
import json
import re
import typing
from typing import Any

import msgspec

from runtimes.formats import json_field_types

MAX_SALVAGED = 1 << 20  # bytes; reading field by field is slow
_MAX_DIGITS = 40
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_LOST: Any = object()


def salvage(kind: Any, data: bytes) -> tuple[Any, str] | None:
    """Returns the value of the type `kind`, and why its first unreadable part was left out. None if nothing of it can
    be used."""
    if len(data) > MAX_SALVAGED:
        return None
    # One half of a pair of surrogates cannot be encoded again, so all are replaced.
    text = _SURROGATE.sub(r"\\ufffd", data.decode("utf-8", "replace"))
    try:
        value = json.loads(text, strict=False, parse_int=_parse_int, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    found = salvage_value(kind, value)
    if found is not None and "\ufffd" in text:
        return found[0], "it contains bytes that are not UTF-8"
    return found


def salvage_value(kind: Any, value: Any) -> tuple[Any, str] | None:
    """Does the same as `salvage` for JSON data that was decoded already."""
    reasons: list[str] = []
    try:
        found = _convert(kind, value, reasons)
    except RecursionError:
        return None
    return None if found is _LOST else (found, reasons[0] if reasons else "a text in it is invalid")


def _convert(kind: Any, value: Any, reasons: list[str]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        if kind is not None:
            reasons.append(str(error))
    for shape in _alternatives(kind):
        if isinstance(shape, type) and issubclass(shape, msgspec.Struct) and isinstance(value, dict):
            return _struct(shape, value, reasons)
        origin, arguments = typing.get_origin(shape), typing.get_args(shape)
        if origin is list and isinstance(value, list):
            items = [_convert(arguments[0], item, reasons) for item in value]
            return [item for item in items if item is not _LOST]
        if origin is dict and isinstance(value, dict):
            if arguments[1] is str:
                return {key: _text(item) for key, item in value.items()}
            pairs = {key: _convert(arguments[1], item, reasons) for key, item in value.items()}
            return {key: item for key, item in pairs.items() if item is not _LOST}
    return _LOST


def _struct(shape: type[msgspec.Struct], value: dict[str, Any], reasons: list[str]) -> Any:
    given = {}
    for field in _fields(shape):
        found = _LOST
        if (item := value.get(field.encode_name)) is not None:
            found = _convert(field.type, item, reasons)
            if found is _LOST and _is_essential(field.type):
                return _LOST
        elif field.encode_name in value and not _accepts_null(field.type):
            reasons.append(f"“{field.encode_name}” is null")
        if found is not _LOST:
            given[field.name] = found
        elif field.required:
            reasons.append(f"“{field.encode_name}” is missing")
            return _LOST
    return shape(**given)


@functools.cache
def _fields(shape: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(shape)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the types that a value of the type `kind` may have, without their ranges."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    arguments = typing.get_args(kind)
    return tuple(one for one in arguments if one is not type(None)) if type(None) in arguments else (kind,)


def _accepts_null(kind: Any) -> bool:
    return type(None) in typing.get_args(kind) or type(None) in typing.get_args(next(iter(typing.get_args(kind)), None))


def _is_essential(kind: Any) -> bool:
    return any(
        isinstance(one, msgspec.Meta) and (one.extra or {}).get(json_field_types.ESSENTIAL)
        for one in typing.get_args(kind)
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""


def _parse_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None
