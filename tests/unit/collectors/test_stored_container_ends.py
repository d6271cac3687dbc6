"""The last ends of an earlier process, read from the stored history."""

from __future__ import annotations

import asyncio

import pytest

from collectors import stored_container_ends
from core import errors
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.store.records import EventsFound
from runtimes.inventory import event_history
from runtimes.inventory.event_rows import to_stored
from runtimes.inventory.mirror import Mirror
from runtimes.inventory.stored_events import StoredEvents
from tests.fake_engine.engine import FakeRuntime

NOW_NS = 1_800_000_000 * 1_000_000_000


class Shelf:
    def __init__(self, *events: Event) -> None:
        self.events = events
        self.gone = False

    async def find_events(self, wanted, selects, /):
        if self.gone:
            raise errors.StoreDown("The store does not answer.")
        rows = tuple(to_stored(event, "fake-h1", NOW_NS) for event in self.events)
        return EventsFound(events=tuple(row for row in rows if selects(row.type, row.action, row.kind)))


def died(engine: FakeRuntime, seconds_ago: int, code: str, kind: CauseKind) -> Event:
    ref = next(iter(engine.containers.values())).ref
    at = NOW_NS - seconds_ago * 10**9
    event = Event(at, EventKind.DIED, ref, Origin.LIVE, "container", "die", {"exit_code": code})
    return event_history.explained(event, Cause(kind=kind, text="…"))


@pytest.mark.looptime
async def test_the_newest_end_of_each_container_is_known_again_once_the_engine_has_answered() -> None:
    engine = FakeRuntime("h1")
    engine.add("web")
    engine.engine_id = ""
    mirror = Mirror(engine)
    ends = [died(engine, 90, "1", CauseKind.CRASHED), died(engine, 60, "137", CauseKind.OUT_OF_MEMORY)]
    task = asyncio.create_task(stored_container_ends.load_stored_ends(mirror, StoredEvents(Shelf(*ends))))
    await asyncio.sleep(60)
    assert not mirror.ends.by_container
    engine.engine_id = "fake-h1"
    await task
    (record,) = mirror.ends.by_container.values()
    assert (record.cause, record.exit_code, record.restarts) == (CauseKind.OUT_OF_MEMORY, 137, {})


async def test_an_end_that_was_received_since_stays_and_a_store_that_is_gone_restores_nothing() -> None:
    engine = FakeRuntime("h1")
    engine.add("web")
    mirror = Mirror(engine)
    newer = died(engine, 5, "3", CauseKind.CRASHED)
    mirror.ends.observe(newer)
    await stored_container_ends.load_stored_ends(mirror, StoredEvents(Shelf(died(engine, 60, "137", CauseKind.KILLED))))
    (record,) = mirror.ends.by_container.values()
    assert (record.exit_code, record.cause) == (3, None)
    shelf = Shelf(newer)
    shelf.gone = True
    other = Mirror(engine)
    await stored_container_ends.load_stored_ends(other, StoredEvents(shelf))
    assert not other.ends.by_container
