"""Parses a point in time as people type it: a time of day, a date, or a date with a time. Without an offset, it is in
the time zone of whoever types it.

A duration, such as `10m`, is parsed by the parser of commands. It means ten minutes ago.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from core.lazy_dataclass import dataclass

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_OFFSET = re.compile(r"[+-][0-9]{2}:[0-9]{2}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedTime:
    """Exactly one is set: `ago`; `clock`, the newest moment with that time of day; or `at`, which has no zone if none
    was typed."""

    ago: timedelta | None = None
    clock: time | None = None
    at: datetime | None = None

    def before(self, now: datetime) -> datetime:
        """Returns the point in time. `now`: when the command was typed, in the time zone of whoever typed it."""
        if self.at is not None:
            return self.at if self.at.tzinfo else self.at.replace(tzinfo=now.tzinfo)
        if self.clock is not None:
            today = datetime.combine(now.date(), self.clock, now.tzinfo)
            return today if today <= now else datetime.combine(now.date() - timedelta(days=1), self.clock, now.tzinfo)
        return now - (self.ago or timedelta(0))


def find_zone(name: str) -> tzinfo:
    """Returns the time zone with this name, such as `Europe/Berlin`, or with this offset, such as `+01:00`; UTC if
    there is none."""
    try:
        if _OFFSET.fullmatch(name):
            return datetime.strptime(name, "%z").tzinfo or UTC
        return zoneinfo.ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def parse_typed_time(text: str) -> TypedTime | None:
    """Returns the point in time for a time of day (`14:05`, `14:05:30`), a date (`2026-11-29`), or a date with a
    time (`2026-11-29T14:05`, with or without an offset such as `Z` or `+01:00`); None for any other text."""
    try:
        if _CLOCK.fullmatch(text):
            return TypedTime(clock=time.fromisoformat(text.zfill(8) if text.count(":") == 2 else text.zfill(5)))
        if _DATE.fullmatch(text):
            return TypedTime(at=datetime.combine(date.fromisoformat(text), time()))
        if _DATE.match(text) and len(text) <= 40:
            at = datetime.fromisoformat(text)
            return TypedTime(at=at.astimezone(UTC) if at.tzinfo else at)
    except (ValueError, OverflowError):
        return None
    return None
