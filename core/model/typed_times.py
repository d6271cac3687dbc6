"""Parses a point in time as people type it: a time of day, a date, or a date with a time. All are in UTC.

The parser of commands makes a TypedTime of a duration, such as `10m`, too: it means that long ago.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedTime:
    """Exactly one is set: `ago`; `clock`, the newest moment with that time of day; or `at`."""

    ago: timedelta | None = None
    clock: time | None = None
    at: datetime | None = None

    def before(self, now: datetime) -> datetime:
        """Returns the point in time. `now`: when the command was typed."""
        if self.at is not None:
            return self.at
        if self.clock is not None:
            today = datetime.combine(now.astimezone(UTC).date(), self.clock, UTC)
            return today if today <= now else today - timedelta(days=1)
        return now - (self.ago or timedelta(0))


def parse_typed_time(text: str) -> TypedTime | None:
    """Returns the point in time for a time of day (`14:05`, `14:05:30`), a date (`2026-11-29`), or a date with a
    time (`2026-11-29T14:05`, with or without an offset such as `Z` or `+01:00`); None for any other text."""
    try:
        if _CLOCK.fullmatch(text):
            return TypedTime(clock=time.fromisoformat(text.zfill(8) if text.count(":") == 2 else text.zfill(5)))
        if _DATE.fullmatch(text):
            return TypedTime(at=datetime.combine(date.fromisoformat(text), time(), UTC))
        if _DATE.match(text) and len(text) <= 40:
            at = datetime.fromisoformat(text)
            return TypedTime(at=at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
    return None
