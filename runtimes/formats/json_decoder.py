"""Decodes JSON answers of engines into typed values; raises InvalidResponse for anything else."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from core import errors

T = TypeVar("T")


def decode_json_object(body: bytes) -> dict[str, Any]:
    """Any JSON object."""
    return decode_json(dict[str, Any], body)


def decode_json(kind: type[T], body: bytes) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise errors.InvalidResponse("The engine's answer is not the expected JSON.") from error
