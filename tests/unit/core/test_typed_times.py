"""What people type for a point in time, in their own time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.model import typed_times

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "zone", "at"),
    [
        ("02:30", "", "2026-11-24T02:30:00+00:00"),
        ("03:30", "Europe/Berlin", "2026-11-24T02:30:00+00:00"),
        ("21:30", "America/New_York", "2026-11-24T02:30:00+00:00"),
        ("05:00", "Europe/Berlin", "2026-11-23T04:00:00+00:00"),  # yesterday, because it has not come yet
        ("2026-11-24T04:30", "+01:00", "2026-11-24T03:30:00+00:00"),
        ("2026-11-24T04:30Z", "Europe/Berlin", "2026-11-24T04:30:00+00:00"),
        ("2026-07-01", "Europe/Berlin", "2026-06-30T22:00:00+00:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_zone_of_whoever_types_it(typed, zone, at):
    found = typed_times.parse_typed_time(typed)
    assert found.before(NOW.astimezone(typed_times.find_zone(zone))).astimezone(UTC).isoformat() == at


@pytest.mark.parametrize(
    "name", ["", "Nowhere/None", "../../etc/passwd", "/etc/passwd", "+99:99", "x" * 9_000, "Europe"]
)
def test_what_is_no_zone_is_utc(name):
    assert typed_times.find_zone(name) is UTC
