"""Decodes the JSON answers of engines to typed values, and raises InvalidResponse for anything else."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from core import errors

T = TypeVar("T")


def decode_json(kind: type[T], body: bytes) -> T:
    """Decodes JSON to a value of the type `kind`. Raises InvalidResponse."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise errors.InvalidResponse(
            "The engine's answer is not the JSON that Quarterdeck expects.",
            hint="Check that Quarterdeck supports this version of the engine.",
        ) from error


def decode_json_object(body: bytes) -> dict[str, Any]:
    """Decodes any JSON object to a dict. Raises InvalidResponse."""
    return decode_json(dict[str, Any], body)
