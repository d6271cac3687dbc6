"""Decodes JSON answers; anything else than the expected JSON is an InvalidResponse."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from core import errors

T = TypeVar("T")


def document(body: bytes) -> dict[str, Any]:
    return decode(dict[str, Any], body)


def decode(kind: type[T], body: bytes) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise errors.InvalidResponse("The engine answered something that is not the JSON we expect.") from error
