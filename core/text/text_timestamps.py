"""Formats timestamps inside texts, and finds them in a text, so that each front end can show the reader's local time.

A timestamp is RFC 3339 in UTC, such as `2026-11-30T14:05:07Z`. JSON and files contain it as it is. A terminal shows the
time in its own time zone; Slack shows the time in the reader's zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo

_MOMENT = re.compile(
    r"(?<![\w.:/=@+-])[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})(?![\w/=@-])"
)
_FRACTION = re.compile(r"\.[0-9]+")


def format_timestamp(at: datetime | float) -> str:
    """Returns a timestamp for a time, or for seconds since the epoch. Fractions of a second are left out."""
    when = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def split_timestamps(text: str) -> Iterator[str | datetime]:
    """Yields the text in parts: each timestamp as a datetime, and the text between them as it is."""
    at = 0
    for found in _MOMENT.finditer(text):
        when = _parse(found[0])
        if when is not None:
            if found.start() > at:
                yield text[at : found.start()]
            yield when
            at = found.end()
    if at < len(text):
        yield text[at:]


def replace_timestamps(text: str, show: Callable[[datetime], str]) -> str:
    """Returns the text with each timestamp as `show` shows it."""
    if "T" not in text:
        return text
    return "".join(part if isinstance(part, str) else show(part) for part in split_timestamps(text))


def contains_timestamp(text: str) -> bool:
    """Returns whether the text contains a timestamp."""
    return any(isinstance(part, datetime) for part in split_timestamps(text))


def format_utc(at: datetime) -> str:
    """Returns a time for a reader whose zone is not known: `2026-11-30 14:05:07 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_local(at: datetime, now: datetime | None = None, zone: tzinfo | None = None) -> str:
    """Returns a time on the clock of a zone, by default this machine's: `2026-11-30 15:05:07 CET`, without its date if
    that is the date of `now`."""
    here = at.astimezone(zone)
    today = now is not None and here.date() == now.astimezone(zone).date()
    return f"{here:%H:%M:%S %Z}" if today else f"{here:%Y-%m-%d %H:%M:%S %Z}"


def _parse(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        return None
