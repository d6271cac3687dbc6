"""Formats a duration in Docker's words, such as `2 hours`, and in a short form, such as `2h`.

Minutes are truncated, hours are rounded, and the units change at 48 hours, 2 weeks, 2 months and 2 years, as in `docker
ps` and `docker images`.
"""

from __future__ import annotations

import re

_WORDS = re.compile(r"(?P<number>About an?|Less than a|[0-9]{1,9}) (?P<unit>second|minute|hour|day|week|month|year)s?")
_SHORT_UNITS = {
    "second": "s",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
    "month": "mo",
    "year": "y",
}


def format_duration_in_words(seconds: float) -> str:
    """Returns a duration as Docker writes it: `Less than a second`, `About an hour`, `3 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes = whole // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"


def shorten(text: str) -> str:
    """Returns the first duration in Docker's words within `text` as `0s`, `5m`, `3w` or `7mo`; empty if there is
    none."""
    found = _WORDS.search(text)
    if found is None:
        return ""
    number = {"Less than a": "0", "About a": "1", "About an": "1"}.get(found["number"], found["number"])
    return f"{number}{_SHORT_UNITS[found['unit']]}"


def in_short(seconds: float) -> str:
    """Returns a duration as `0s`, `5m`, `3w` or `7mo`."""
    return shorten(format_duration_in_words(seconds))


def in_units(seconds: float) -> str:
    """Returns whole seconds below 90 s (`40 s`), whole minutes below 90 min, and from there `3 h 5 min`."""
    whole = max(0, int(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
