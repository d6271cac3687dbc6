"""The last end of each container on the metrics page: its time, code and cause, and its restarts by cause."""

from __future__ import annotations

import msgspec

from collectors.exposition import Options
from collectors.scrapers import container_ends
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from runtimes.inventory import container_end_records
from runtimes.inventory.mirror import Mirror
from tests.unit.collectors.test_metrics_page import NOW, mirror_of, row, samples, scraped

WEB = row("web")
CRASHED = Cause(kind=CauseKind.CRASHED, text="crashed")
STOPPED = Cause(kind=CauseKind.REQUESTED, text="stopped")


def event(kind: EventKind, seconds: float, **attrs: str) -> Event:
    return Event(int(seconds * 1e9), kind, WEB.ref, Origin.LIVE, "container", str(kind), attrs)


def shown(mirror: Mirror, **options: int) -> dict[tuple[str, str, str], float]:
    """The value by family, container and cause."""
    text = scraped(container_ends.scraper, mirror, options=Options(**options))
    found = {}
    for (family, labels), number in samples(text).items():
        known = dict(labels)
        found[family.removeprefix("container_"), known["name"], known.get("cause", "")] = number
    return found


def run(mirror: Mirror, seconds: float, cause: Cause, code: str = "1", *, cause_first: bool = False) -> None:
    """One end and the start after it."""
    died = event(EventKind.DIED, seconds, exit_code=code)
    mirror.ends.observe(died)
    if cause_first:
        mirror.ends.set_cause(died, cause)
    mirror.ends.observe(event(EventKind.STARTED, seconds + 1))
    if not cause_first:
        mirror.ends.set_cause(died, cause)


def test_an_end_has_its_time_code_and_cause() -> None:
    mirror = mirror_of(WEB)
    assert shown(mirror) == {}
    died = event(EventKind.DIED, NOW - 9, exit_code="139")
    mirror.ends.observe(died)
    assert shown(mirror) == {
        ("last_end_timestamp_seconds", "web", ""): NOW - 9,
        ("last_end_exit_code", "web", ""): 139,
    }
    mirror.ends.set_cause(died, CRASHED)
    assert shown(mirror)["last_end_cause", "web", "crashed"] == 1


def test_restarts_are_counted_by_the_cause_of_the_end_before_in_any_order() -> None:
    mirror = mirror_of(WEB)
    run(mirror, NOW - 90, CRASHED)
    run(mirror, NOW - 80, CRASHED, cause_first=True)
    run(mirror, NOW - 70, STOPPED)
    mirror.ends.observe(event(EventKind.STARTED, NOW - 60))  # Docker reports no end before: a start twice is no restart
    found = shown(mirror)
    assert found["restarts_by_cause_total", "web", "crashed"] == 2
    assert found["restarts_by_cause_total", "web", "requested"] == 1
    assert [key for key in found if key[0] == "last_end_cause"] == [("last_end_cause", "web", "requested")]


def test_a_cause_that_comes_after_the_next_end_is_counted_and_not_shown_as_the_last() -> None:
    mirror = mirror_of(WEB)
    first, second = event(EventKind.DIED, NOW - 9), event(EventKind.DIED, NOW - 8)
    for each in (first, event(EventKind.STARTED, NOW - 8.5), second):
        mirror.ends.observe(each)
    mirror.ends.set_cause(first, CRASHED)
    found = shown(mirror)
    assert found["restarts_by_cause_total", "web", "crashed"] == 1
    assert not [key for key in found if key[0] == "last_end_cause"]


def test_the_inspection_wins_over_the_event_and_fills_in_after_a_restart_of_the_bot() -> None:
    ended = msgspec.structs.replace(WEB, state="exited", exit_code=3, finished_at=NOW - 5)
    mirror = mirror_of(ended)
    assert shown(mirror) == {
        ("last_end_timestamp_seconds", "web", ""): NOW - 5,
        ("last_end_exit_code", "web", ""): 3,
    }
    mirror.ends.observe(event(EventKind.DIED, NOW - 6, exit_code="0"))
    assert shown(mirror)["last_end_exit_code", "web", ""] == 3


def test_the_series_vanish_with_the_container_and_the_records_too(monkeypatch) -> None:
    mirror = mirror_of(WEB)
    run(mirror, NOW - 90, CRASHED)
    mirror.ends.observe(event(EventKind.REMOVED, NOW))
    assert shown(mirror) == {} and not mirror.ends.by_container
    run(mirror, NOW - 90, CRASHED)
    mirror.replace([], 2)  # a list without it: the event of its removal was missed
    assert shown(mirror) == {} and not mirror.ends.by_container

    monkeypatch.setattr(container_end_records, "MAX_RECORDS", 2)
    for number in range(5):
        ref = msgspec.structs.replace(WEB.ref, id=f"{number}")
        mirror.ends.observe(msgspec.structs.replace(event(EventKind.DIED, number + 1), subject=ref))
    assert list(mirror.ends.by_container) == ["3", "4"]


def test_an_engine_has_series_for_a_limited_number_of_containers_those_that_run_first() -> None:
    rows = [row(f"old-{number}", state="exited", exit_code=0, finished_at=NOW - 50) for number in range(5)]
    mirror = mirror_of(*rows, row("live", finished_at=NOW - 70))
    names = {name for _, name, _ in shown(mirror, max_containers=2)}
    assert len(names) == 2 and "live" in names
    silent = mirror_of(*rows, at=NOW - 3600)
    assert shown(silent) == {}


def test_an_end_of_an_earlier_process_is_known_again_and_counts_no_restart() -> None:
    mirror = mirror_of(WEB)
    mirror.ends.restore(event(EventKind.DIED, NOW - 9, exit_code="1"), CauseKind.CRASHED)
    mirror.ends.restore(event(EventKind.DIED, NOW - 99, exit_code="7"), CauseKind.FINISHED)
    mirror.ends.observe(event(EventKind.STARTED, NOW - 8))
    found = shown(mirror)
    assert found["last_end_cause", "web", "crashed"] == 1 and found["last_end_exit_code", "web", ""] == 1
    assert not [key for key in found if key[0] == "restarts_by_cause_total"]
