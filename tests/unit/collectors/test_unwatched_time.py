"""When nobody watched: after a stop, after a sleep, and not while only the store was away."""

from __future__ import annotations

from collectors.rules import nobody_watched
from collectors.unwatched_time import MIN_SECONDS, UnwatchedTimeFinder
from core.model.refs import EngineRef

BOT = EngineRef(host="", kind="bot")
NOON = 1_764_504_000.0  # 2025-11-30 12:00:00 UTC


class Clock:
    def __init__(self) -> None:
        self.seconds = NOON
        self.watch = UnwatchedTimeFinder(lambda: self.seconds)

    def run(self, seconds: float, *, watching: bool = True) -> None:
        for _ in range(int(seconds)):
            self.seconds += 1
            self.watch.note(watching=watching)

    def text(self, seconds_ago: float) -> str:
        event = self.watch.event(BOT, seconds_ago)
        if event is None:
            return ""
        from collectors.rule import RuleInput, SeenEvent

        finding = nobody_watched.check(RuleInput(events=[SeenEvent(event=event)]))
        assert finding is not None
        return finding.text


def test_the_next_start_says_from_when_to_when_nobody_watched():
    clock = Clock()
    clock.run(5, watching=False)
    clock.run(6)
    assert clock.text(1811) == "nobody watched from 2025-11-30T11:30:00Z to 2025-11-30T12:00:06Z (30 minutes)"


def test_a_restart_is_too_short_to_be_reported():
    clock = Clock()
    clock.run(6)
    assert clock.text(MIN_SECONDS) == ""
    assert clock.text(MIN_SECONDS + 7) != ""


def test_the_first_start_ever_reports_nothing():
    clock = Clock()
    clock.run(6)
    assert clock.text(0) == ""


def test_a_store_that_was_away_is_no_time_without_a_watch():
    clock = Clock()
    clock.run(700)
    assert clock.text(600) == ""


def test_a_process_that_was_asleep_watched_nothing():
    clock = Clock()
    clock.run(10)
    clock.seconds += 3600
    clock.run(5)
    assert "(60 minutes)" in clock.text(3606)


def test_without_an_engine_nobody_watches():
    clock = Clock()
    clock.run(5)
    clock.run(600, watching=False)
    assert clock.text(600) == ""  # nothing is reported before somebody watches again
    clock.run(5)
    assert "(10 minutes)" in clock.text(606)


def test_a_clock_that_was_set_back_starts_anew():
    clock = Clock()
    clock.run(10)
    clock.seconds -= 3600
    clock.run(5)
    assert clock.text(3) == ""
