"""Parses the version of Podman, so that it can be compared with the first one that has a feature."""

from __future__ import annotations


def parse_version(text: str) -> tuple[int, ...]:
    """Returns `5.4.2-dev` as (5, 4, 2); a part that is no number is 0."""
    parts = text.partition("-")[0].split(".")
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)
