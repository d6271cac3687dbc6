"""Defines hours that repeat every day, or on some days of the week, in a time zone: `22:00` to `07:00` in Berlin.

Times of day are minutes after midnight on the clock of the zone. All other times are seconds since the epoch. A change
to or from summer time neither repeats nor stretches an interval. An hour that the clock skips is no part of any
interval. If an interval begins or ends in an hour that comes twice, it does so in the first of the two.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import msgspec

MINUTES_PER_DAY = 1440
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_SECONDS = 7 * 86_400.0
_LOOK_BACK, _LOOK_AHEAD = 8, 8  # days; an interval lasts at most a week
MAX_REMEMBERED = 1_024  # results, because thousands of incidents are compared with the same hours at one time


class Interval(msgspec.Struct, frozen=True):
    """One time from `begin` to `end`, without `end` itself."""

    begin: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.begin <= at < self.end


class DailyHours(msgspec.Struct, frozen=True, kw_only=True):
    """Hours that come back. They begin at `begin` on each of `days` (0 is Monday). They end at the next `end` o'clock,
    or after `seconds` if that is not 0. `zone`: a name of the time zone database."""

    begin: int
    end: int = 0
    seconds: float = 0.0
    zone: str = "UTC"
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)

    def at(self, now: float) -> Interval | None:
        """Returns the interval that contains `now`; None if there is none."""
        return _interval_at(self, now)

    def ended(self, now: float) -> Interval | None:
        """Returns the newest interval that is over; None if there was none in the last week."""
        return _ended_interval(self, now)

    def coming(self, now: float) -> Interval | None:
        """Returns the next interval that has not begun; None if there is none in the next week."""
        return next((each for each in _around(self, now) if each.begin > now), None)

    def text(self) -> str:
        """Says the hours in words: `22:00 to 07:00 (Europe/Berlin) on sat, sun`."""
        until = f"for {_span(self.seconds)}" if self.seconds else f"to {clock_text(self.end)}"
        days = "" if len(self.days) == len(DAYS) else f" on {', '.join(DAYS[day] for day in self.days)}"
        return f"{clock_text(self.begin)} {until} ({self.zone}){days}"


def is_zone(name: str) -> bool:
    """Whether the time zone database of this machine has this zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def minutes_of(text: str) -> int | None:
    """Returns the minutes after midnight of `07:30` or `24:00`; None for any other text."""
    hour, colon, minute = text.strip().partition(":")
    if not (colon and hour.isdecimal() and minute.isdecimal() and len(hour) <= 2 and len(minute) == 2):
        return None
    found = int(hour) * 60 + int(minute)
    return found if int(minute) < 60 and found <= MINUTES_PER_DAY else None


def clock_text(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _interval_at(hours: DailyHours, now: float) -> Interval | None:
    return next((each for each in _around(hours, now) if now in each), None)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _ended_interval(hours: DailyHours, now: float) -> Interval | None:
    return max((each for each in _around(hours, now) if each.end <= now), key=lambda each: each.end, default=None)


def _around(hours: DailyHours, now: float) -> Iterator[Interval]:
    zone = zoneinfo.ZoneInfo(hours.zone)
    today = datetime.fromtimestamp(now, zone).date()
    for offset in range(-_LOOK_BACK, _LOOK_AHEAD + 1):
        day = today + timedelta(days=offset)
        if day.weekday() not in hours.days:
            continue
        begin = _moment(day, hours.begin, zone)
        if hours.seconds:
            end = begin + hours.seconds
        else:
            end = _moment(day, hours.end + (MINUTES_PER_DAY if hours.end <= hours.begin else 0), zone)
        if end > begin:
            yield Interval(begin, end)


def _moment(day: date, minutes: int, zone: zoneinfo.ZoneInfo) -> float:
    days, rest = divmod(minutes, MINUTES_PER_DAY)
    return datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), zone).timestamp()


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 and minutes else f"{minutes} min"
