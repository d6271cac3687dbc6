"""Parses the engines' RFC 3339 times with nanoseconds, and formats times for Docker's `since` and `until`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from core import errors
from runtimes.formats import json_field_types, skipped_data
from runtimes.formats.skipped_data import SkippedDataCounter

MAX_NANOSECONDS = json_field_types.MAX_INT64
"""In the year 2262. Later times cannot be stored."""
_NO_TIME = "0001-01-01"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")


def format_since(at_ns: int) -> str:
    """Returns the value of Docker's `since` and `until` for a time in nanoseconds since the epoch; both are
    inclusive."""
    return f"{at_ns // 1_000_000_000}.{at_ns % 1_000_000_000:09d}"


def format_time(at_ns: int) -> str:
    """Returns RFC 3339 in UTC with nine decimals, as Docker writes it into logs."""
    at = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ns % 1_000_000_000:09d}Z"


def is_before(one: str, other: str) -> bool:
    """Returns whether one RFC 3339 time is before the other. Their offsets and numbers of decimals may differ. A text
    that is no time is before every time."""
    if len(one) == len(other) and one[19:20] == other[19:20] and one.endswith("Z") and other.endswith("Z"):
        return one < other
    first, second = parse_nanoseconds_or_none(one), parse_nanoseconds_or_none(other)
    return second is not None and (first is None or first < second)


def parse_seconds(text: str, skipped: SkippedDataCounter | None = None) -> float | None:
    """Converts RFC 3339 to seconds since the epoch; None for an empty text, for Docker's year 1, which means never, and
    for an invalid time, which `skipped` counts."""
    if not text or text.startswith(_NO_TIME):
        return None
    found = parse_nanoseconds_or_none(text)
    if found is None:
        if skipped is not None:
            skipped.add(skipped_data.FIELD, "a time is invalid")
        return None
    return found / 1e9


def parse_nanoseconds(text: str) -> int:
    """Converts RFC 3339 with up to nine decimals to nanoseconds since the epoch. Raises InvalidResponse."""
    found = parse_nanoseconds_or_none(text)
    if found is None:
        raise errors.InvalidResponse(
            f"The engine sent an invalid time: “{text[:40]}”.",
            hint="Check that Quarterdeck supports this version of the engine.",
        )
    return found


def parse_nanoseconds_or_none(text: str) -> int | None:
    """Does the same as `parse_nanoseconds`, but returns None for anything else, and for a time outside the years 1970
    to 2262."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1] + ("+00:00" if match[3] == "Z" else match[3]))
    except ValueError:
        return None
    found = int(whole.timestamp()) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))
    return found if 0 <= found <= MAX_NANOSECONDS else None
