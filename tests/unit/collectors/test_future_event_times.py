"""Times far in the future, which a broken clock or a hostile engine puts into events."""

from __future__ import annotations

import pytest

from collectors import cursor, future_event_times
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.store.records import WatchRecord, WatchUpdate

REF = Ref(engine=EngineRef(host="h", kind="docker"), kind=Kind.CONTAINER, id="4f2a", name="web")
NOW = 1_800_000_000 * 1_000_000_000
HOUR = 3600 * 1_000_000_000
YEAR_2262 = (1 << 63) - 1


def event(at_ns: int) -> Event:
    return Event(at_ns, EventKind.DIED, REF, Origin.LIVE, "container", "die", {})


class Shelf:
    def __init__(self, stored: int | None = None) -> None:
        self.stored = stored

    async def watch_record(self, engine: str) -> WatchRecord:
        return WatchRecord(cursor=self.stored)

    async def update_watch(self, engine: str, update: WatchUpdate) -> None:
        self.stored = update.cursor


def test_usual_times_stay_and_so_does_the_batch() -> None:
    batch = [event(NOW - HOUR), event(NOW + 14 * HOUR), event(1)]  # a clock that is wrong by its time zone
    assert future_event_times.replace_far_times(batch, NOW) == (batch, 0)
    assert future_event_times.replace_far_times(batch, NOW)[0] is batch


@pytest.mark.parametrize("far", [NOW + 25 * HOUR, NOW + 365 * 24 * HOUR, YEAR_2262])
def test_a_time_far_ahead_becomes_ours_and_is_counted(far: int) -> None:
    batch, replaced = future_event_times.replace_far_times([event(NOW - 1), event(far), event(NOW)], NOW)
    assert [one.at_ns for one in batch] == [NOW - 1, NOW, NOW]
    assert replaced == 1


@pytest.mark.parametrize("ahead", [0, 1, cursor.MAX_AHEAD_NS])
async def test_a_clock_that_is_a_little_ahead_is_followed(ahead: int) -> None:
    shelf = Shelf()
    found = cursor.Cursor(shelf, lambda: NOW)
    await found.load("e")
    assert found.advance(NOW + ahead)
    await found.save(None, lambda: b"")
    assert shelf.stored == found.position == NOW + ahead


@pytest.mark.parametrize("ahead", [cursor.MAX_AHEAD_NS + 1, HOUR, YEAR_2262 - NOW])
async def test_a_position_is_never_saved_or_loaded_from_the_future(ahead: int) -> None:
    shelf = Shelf()
    found = cursor.Cursor(shelf, lambda: NOW)
    await found.load("e")
    found.advance(NOW + ahead)
    await found.save(None, lambda: b"")
    assert shelf.stored == NOW
    # A version that saved it, or a clock that was set back since.
    found = cursor.Cursor(Shelf(NOW + ahead), lambda: NOW)
    await found.load("e")
    assert (found.stored, found.newest, found.position) == (NOW, NOW, NOW)
    assert found.advance(NOW + 1)
