"""Hours that come back every day: at each change of the clocks they happen once, and for as long as they should."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st

from core.model.daily_hours import DailyHours, Interval, clock_text, is_zone, minutes_of

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = DailyHours(begin=22 * 60, end=7 * 60, zone="Europe/Berlin")


def at(text: str) -> float:
    """Seconds since the epoch of a time on the clock of Berlin; `+` after it means the second one of two."""
    later = text.endswith("+")
    return datetime.fromisoformat(text.rstrip("+")).replace(tzinfo=BERLIN, fold=int(later)).timestamp()


def hours_of(interval: Interval | None) -> float:
    assert interval is not None
    return (interval.end - interval.begin) / 3600


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("2026-06-10 21:59:59", False),
        ("2026-06-10 22:00:00", True),
        ("2026-06-11 00:00:00", True),
        ("2026-06-11 06:59:59", True),
        ("2026-06-11 07:00:00", False),
        ("2026-06-11 12:00:00", False),
    ],
)
def test_a_night_begins_in_the_evening_and_ends_in_the_morning(moment: str, quiet: bool) -> None:
    assert (NIGHT.at(at(moment)) is not None) is quiet


def test_a_night_has_eight_hours_when_summer_time_begins_and_ten_when_it_ends() -> None:
    assert hours_of(NIGHT.at(at("2026-06-10 23:00"))) == 9
    assert hours_of(NIGHT.at(at("2026-03-28 23:00"))) == 8
    assert hours_of(NIGHT.at(at("2026-10-24 23:00"))) == 10


def test_an_hour_that_comes_twice_does_not_make_it_quiet_twice() -> None:
    early = DailyHours(begin=22 * 60, end=2 * 60 + 30, zone="Europe/Berlin")
    assert early.at(at("2026-10-25 02:29")) is not None
    assert early.at(at("2026-10-25 02:30")) is None
    assert early.at(at("2026-10-25 02:00+")) is None
    assert early.at(at("2026-10-25 02:29+")) is None


def test_an_hour_that_is_skipped_is_not_quiet_and_the_next_night_is() -> None:
    gone = DailyHours(begin=2 * 60, end=3 * 60, zone="Europe/Berlin")
    night = at("2026-03-29 00:00")
    assert all(gone.at(night + minute * 60) is None for minute in range(6 * 60))
    assert gone.at(at("2026-03-30 02:30")) is not None
    late = DailyHours(begin=2 * 60 + 30, end=5 * 60, zone="Europe/Berlin")
    assert hours_of(late.at(at("2026-03-29 04:00"))) == 1.5


def test_maintenance_lasts_as_long_as_it_was_asked_for_whatever_the_clocks_do() -> None:
    patching = DailyHours(begin=23 * 60, seconds=4 * 3600.0, zone="Europe/Berlin", days=(5,))
    for day in ("2026-03-28", "2026-10-24", "2026-06-06"):
        assert hours_of(patching.at(at(f"{day} 23:00"))) == 4
        assert patching.at(at(f"{day} 22:59")) is None
    assert patching.at(at("2026-06-10 23:30")) is None


def test_the_days_are_those_on_which_it_begins() -> None:
    weekend = DailyHours(begin=18 * 60, end=8 * 60, days=(4, 5, 6))
    friday = datetime(2026, 6, 12, tzinfo=UTC).timestamp()
    assert weekend.at(friday + 3 * 3600) is None
    assert weekend.at(friday + 19 * 3600) is not None
    assert weekend.at(friday + 3 * 86_400 + 7 * 3600) is not None
    assert weekend.at(friday + 3 * 86_400 + 19 * 3600) is None


def test_the_last_and_the_next_interval_are_known() -> None:
    noon = at("2026-06-11 12:00")
    ended, coming = NIGHT.ended(noon), NIGHT.coming(noon)
    assert ended == Interval(at("2026-06-10 22:00"), at("2026-06-11 07:00"))
    assert coming == Interval(at("2026-06-11 22:00"), at("2026-06-12 07:00"))
    assert NIGHT.ended(at("2026-06-11 23:00")) == ended


def test_the_same_time_twice_is_a_whole_day_and_midnight_may_be_written_as_24_00() -> None:
    assert hours_of(DailyHours(begin=480, end=480).at(0.0)) == 24
    assert hours_of(DailyHours(begin=0, end=1440).at(0.0)) == 24
    assert minutes_of("24:00") == 1440 and minutes_of("7:05") == 425


@pytest.mark.parametrize("text", ["", "7", "25:00", "24:01", "12:60", "12:5", "-1:00", "a:bc", "12:00:00"])
def test_what_is_not_a_time_of_day(text: str) -> None:
    assert minutes_of(text) is None


def test_the_words_for_people() -> None:
    assert NIGHT.text() == "22:00 to 07:00 (Europe/Berlin)"
    assert DailyHours(begin=60, seconds=5400, days=(5, 6)).text() == "01:00 for 90 min (UTC) on sat, sun"
    assert clock_text(65) == "01:05"


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "/etc/localtime", "Europe", "x" * 300, "a\x00b"])
def test_what_is_not_a_time_zone(name: str) -> None:
    assert not is_zone(name)


@hypothesis.given(
    begin=st.integers(0, 1439),
    end=st.integers(0, 1440),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    now=st.integers(0, 4_000_000_000),
)
def test_intervals_never_overlap_and_each_moment_is_in_the_one_that_it_names(
    begin: int, end: int, zone: str, now: int
) -> None:
    hours = DailyHours(begin=begin, end=end, zone=zone)
    found = hours.at(now)
    if found is not None:
        assert found.begin <= now < found.end
        assert found.end - found.begin <= timedelta(hours=25).total_seconds()
        assert hours.at(found.begin) == found
        after = hours.at(found.end)
        assert after is None or after.begin >= found.end
