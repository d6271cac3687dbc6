"""Defines a moment as people type it: so long ago, a time of day, or a date with a time. All are in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One of: `ago`; `clock`, the last time of that time of day; `at`."""

    ago: timedelta | None = None
    clock: time | None = None
    at: datetime | None = None

    def before(self, now: datetime) -> datetime:
        """Returns the moment as seen from `now`."""
        if self.at is not None:
            return self.at
        if self.clock is not None:
            today = datetime.combine(now.astimezone(UTC).date(), self.clock, UTC)
            return today if today <= now else today - timedelta(days=1)
        return now - (self.ago or timedelta(0))


def parse_moment(text: str) -> Moment | None:
    """Returns the moment of a time of day (`14:05`, `14:05:30`) or of a date (`2026-11-29`, `2026-11-29T14:05`, with
    an offset such as `Z` or `+01:00` or without); None for any other text."""
    try:
        if _CLOCK.fullmatch(text):
            return Moment(clock=time.fromisoformat(text.zfill(8) if text.count(":") == 2 else text.zfill(5)))
        if _DATE.fullmatch(text):
            return Moment(at=datetime.combine(date.fromisoformat(text), time(), UTC))
        if _DATE.match(text) and len(text) <= 40:
            at = datetime.fromisoformat(text)
            return Moment(at=at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
    return None
