"""Collects the secret values of a configuration, so that they can be masked wherever they would be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr


def find_secret_values(value: Any) -> Iterator[str]:
    """Yields the value of every `SecretStr` in a section, list or mapping, however deep it is."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from find_secret_values(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from find_secret_values(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from find_secret_values(inner)
