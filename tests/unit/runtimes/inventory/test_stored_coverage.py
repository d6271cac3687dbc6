"""Which time the stored history covers: since the first watch, but for gaps and what was removed."""

import time

import pytest

from core import errors
from core.model.event_coverage import NEVER, NOT_NOW, NOT_YET
from core.model.gaps import Gap, GapReason, Recovery
from core.model.refs import EngineRef
from core.store.client import Store
from core.store.records import EventLimits, WatchUpdate
from runtimes.inventory import event_rows
from runtimes.inventory.stored_coverage import read_coverage

ENGINE = EngineRef(host="h1", kind="docker")
SECOND = 1_000_000_000
NOW = time.time_ns()


def ago(seconds):
    return NOW - seconds * SECOND


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url, events=EventLimits(seconds=86_400.0))
    yield made
    await made.aclose()


def gap(since, until, recovery=Recovery.RESYNCED, reason=GapReason.STREAM_LOST):
    made = Gap(engine=ENGINE, engine_id="E1", from_ns=ago(since), until_ns=ago(until), reason=reason, recovery=recovery)
    return event_rows.to_stored(made.to_event(), "E1", NOW)


async def unknown(store, since, until=0):
    coverage = await read_coverage(store, "E1", ENGINE, now_ns=lambda: NOW)
    spans = coverage.unknown(ago(since), ago(until))
    return [((NOW - each.from_ns) // SECOND, (NOW - each.until_ns) // SECOND, each.why) for each in spans]


async def watched(store, watcher, at, began=0):
    await store.update_watch("E1", WatchUpdate(watcher=watcher, watched=at, began=began))


async def test_an_engine_that_nobody_watched_is_not_known(store):
    assert await unknown(store, 60) == [(60, 0, NEVER)]
    assert (await read_coverage(store, "", ENGINE)).watched_ns == 0


async def test_it_is_known_since_the_first_watch_until_the_last(store):
    await watched(store, "first", ago(500), began=ago(1_000))
    await watched(store, "first", -ago(400))
    assert await unknown(store, 2_000) == [(2_000, 1_000, NOT_YET), (400, 0, NOT_NOW)]
    await watched(store, "second", ago(3), began=ago(100))  # it watches now; the gap before it is an event
    await store.record_events([gap(400, 100, reason=GapReason.NOT_WATCHED)])
    assert await unknown(store, 2_000) == [(2_000, 1_000, NOT_YET), (400, 100, "it was not watched")]
    assert await unknown(store, 50) == []


async def test_gaps_count_unless_the_engine_sent_their_events_later(store):
    await watched(store, "one", ago(1), began=ago(1_000))
    await store.record_events([gap(300, 200), gap(100, 90, Recovery.REPLAYED)])
    assert await unknown(store, 900) == [(300, 200, "its event stream was lost")]
    assert await unknown(store, 250) == [(250, 200, "its event stream was lost")]  # it began before


async def test_what_is_older_than_the_history_is_not_known(store):
    await watched(store, "one", ago(1), began=ago(200_000))
    ((since, until, why),) = await unknown(store, 100_000)
    assert (since, until) == (100_000, 86_400) and "removed" in why


async def test_without_the_store_nothing_is_claimed():
    class Gone:
        async def watch_spans(self, engines, /):
            raise errors.StoreDown("gone")

        async def find_events(self, wanted, selects, /):
            raise errors.StoreDown("gone")

    assert (await read_coverage(Gone(), "E1", ENGINE)).watched_ns == 0
