"""The history of events in a real store: each event once, found by time and by name, within its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from core import errors
from core.store import event_history, keys
from core.store.client import Store
from core.store.records import EventLimits, EventName, EventsWanted, StoredEvent, StoreUsage, engine_key

WEB = ["web", "web", "new"]
NOW = int(time.time()) * 1_000_000
ENGINE = engine_key("engine-1")
ENGINES = frozenset({ENGINE})


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    store = Store.open(store_url, events=EventLimits(rows=200))
    yield store
    await store.aclose()


@pytest.fixture
async def raw(store_url: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(store_url) as client:
        yield client


def row(ago: int, name: str = "web", number: int = 1, engine: str = ENGINE, **more: Any) -> StoredEvent:
    """An event so many seconds ago."""
    at_us = NOW - ago * 1_000_000
    given: dict[str, Any] = {"type": "container", "action": "die", "kind": "died", "subject_kind": "container"}
    given |= {"attrs": {"exit_code": "1"}} | more
    return StoredEvent(
        engine=engine,
        padded_us=f"{at_us:016d}",
        at_ns=str(at_us * 1000),
        origin="live",
        subject_id=f"{number:012x}".ljust(64, "0"),
        name=name,
        **given,
    )


def everything(*_: str) -> bool:
    return True


async def names(store: Store, *typed: EventName, **more: Any) -> list[str]:
    wanted = EventsWanted(engines=ENGINES, names=typed, **more)
    return [each.name for each in (await store.find_events(wanted, everything)).events]


async def sizes(raw: Any) -> list[int]:
    prefix = "{qd}:"
    return [
        await raw.hlen(prefix + keys.EVENTS),
        await raw.zcard(prefix + keys.EVENT_TIMES),
        await raw.zcard(prefix + keys.EVENT_NAMES),
    ]


async def test_an_event_that_several_processes_store_is_one_event(store, raw):
    first, second = row(9), row(8, "db", 2)
    assert await store.record_events([first, second]) == 2
    assert await store.record_events([second, first, row(7, "api", 3)]) == 1
    assert await names(store) == ["web", "db", "api"]
    assert await sizes(raw) == [3, 3, 6]  # each by its name and by its id


async def test_what_is_known_of_a_cause_only_grows(store):
    await store.record_events([row(9)])
    by_us = row(9, known=3, attrs={"cause": "requested", "cause_text": "stop through Quarterdeck", "cause_by": "ann"})
    for attrs, known in (({"cause": "unknown"}, 1), (by_us.attrs, 3), ({"cause": "requested"}, 2), ({}, 0)):
        await store.record_events([row(9, known=known, attrs=attrs)])
    found = await store.find_events(EventsWanted(engines=ENGINES), everything)
    assert found.events == (by_us,)


async def test_the_newest_events_of_a_window_are_found_oldest_first(store):
    await store.record_events([row(number, f"c{number:02}", number) for number in range(1, 31)])
    assert await names(store, limit=3) == ["c03", "c02", "c01"]
    assert await names(store, since_us=NOW - 5_000_000) == ["c05", "c04", "c03", "c02", "c01"]
    assert await names(store, since_us=NOW - 5_000_000, until_us=NOW - 4_000_000) == ["c05", "c04"]
    assert await names(store, until_us=NOW - 29_000_000, limit=1) == ["c29"]


async def test_type_action_and_engine_are_chosen_before_the_limit(store, monkeypatch):
    monkeypatch.setattr(event_history, "MEMBERS_AT_ONCE", 7)
    pulled = row(60, "shop:2", 99, type="image", action="pull", kind="other", subject_kind="image")
    other = row(1, "far", 98, engine=engine_key("engine-2"))
    await store.record_events([pulled, other, *(row(number, number=number) for number in range(1, 31))])

    async def chosen(selects, engines=ENGINES) -> list[str]:
        wanted = EventsWanted(engines=engines, limit=5)
        return [each.name for each in (await store.find_events(wanted, selects)).events]

    assert await chosen(lambda type_, action, kind: (type_, action, kind) == ("image", "pull", "other")) == ["shop:2"]
    assert await chosen(everything) == ["web"] * 5
    assert await chosen(everything, frozenset({other.engine})) == ["far"]
    assert await chosen(everything, frozenset()) == []


async def test_a_name_is_found_by_the_index_whatever_else_there_is(store, monkeypatch):
    monkeypatch.setattr(event_history, "MEMBERS_AT_ONCE", 10)
    many = [row(number, f"job-{number}", 1000 + number) for number in range(1, 90)]
    await store.record_events([*many, row(50, "web", 7), row(40, "web", 8), row(30, "web-2", 9)])
    await store.record_events([row(20, "new", 7, kind="renamed", action="rename", attrs={"old_name": "web"})])
    assert await names(store, EventName(text="web"), limit=50) == WEB
    assert await names(store, EventName(text="web"), since_us=NOW - 45_000_000) == ["web", "new"]
    assert await names(store, EventName(text="web", is_prefix=True), limit=50) == ["web", "web", "web-2", "new"]
    assert await names(store, EventName(text="we"), limit=50) == []
    assert await names(store, EventName(text="we", or_prefix=True), limit=50) == ["web", "web", "web-2", "new"]
    assert await names(store, EventName(text=f"#{7:012x}"), limit=50) == ["web", "new"]
    assert await names(store, EventName(text=f"#{7:012x}", is_prefix=True), limit=50) == ["web", "new"]
    assert len(await names(store, EventName(text="job-", is_prefix=True), limit=5)) == 5
    assert await names(store, EventName(text="web"), EventName(text="job-3"), limit=50) == [
        "web",
        "web",
        "new",
        "job-3",
    ]
    assert await names(store, EventName(text="gone"), limit=50) == []


async def test_a_short_time_is_read_whole_and_not_searched_by_name(store):
    await store.record_events([row(number, f"job-{number}", number) for number in range(1, 30)])
    assert await names(store, EventName(text="job-2", is_prefix=True), since_us=NOW - 3_000_000) == [
        "job-3",
        "job-2",
        "job-1",
    ]


async def test_too_many_names_to_compare_are_said(store, monkeypatch):
    monkeypatch.setattr(event_history, "MEMBERS_AT_ONCE", 10)
    monkeypatch.setattr(event_history, "MAX_MEMBERS", 20)
    await store.record_events([row(number, f"job-{number}", number) for number in range(1, 90)])
    found = await store.find_events(
        EventsWanted(engines=ENGINES, names=(EventName(text="job", is_prefix=True),), limit=30), everything
    )
    assert not found.complete and len(found.events) == 30


async def test_the_limits_of_number_bytes_and_age_remove_the_oldest_and_their_index(store_url, raw):
    store = Store.open(store_url, events=EventLimits(rows=10, seconds=3600))
    for number in range(40, 0, -1):
        await store.record_events([row(number, number=number)])
    assert await sizes(raw) == [10, 10, 20]
    found = await store.find_events(EventsWanted(engines=ENGINES), everything)
    assert found.cut_until_us == NOW - 11_000_000 and found.oldest_us == NOW - 10_000_000
    await store.record_events([row(5000, number=99), row(0, number=98)])  # the first one is too old already
    newest = (await store.find_events(EventsWanted(engines=ENGINES), everything)).events[-1]
    assert newest.subject_id.startswith(f"{98:012x}")
    assert await sizes(raw) == [10, 10, 20]
    small = Store.open(store_url, events=EventLimits(bytes=4_000))
    await small.record_events([row(0, "big", 97, attrs={"image": "x" * 300})])
    usage = await small.usage()
    assert usage.event_rows < 10 and usage.event_bytes <= 4_000
    for each in (small, store):
        await each.aclose()


async def test_removing_everything_leaves_no_bytes_and_no_index(store_url, raw):
    store = Store.open(store_url, events=EventLimits(rows=5))
    for number in range(1, 60):
        attrs = {"cause": "crashed", "old_name": "x"}
        await store.record_events([row(number, number=number), row(number, number=number, known=2, attrs=attrs)])
    empty = Store.open(store_url, events=EventLimits(rows=5, seconds=0.001))
    for _ in range(3):
        await empty.record_events([])
    assert await sizes(raw) == [0, 0, 0]
    assert (await store.usage()).event_bytes == 0
    for each in (store, empty):
        await each.aclose()


async def test_lost_events_are_counted_and_said_with_their_time(store):
    await store.record_events([row(1)], lost=3, lost_until_us=NOW - 2)
    await store.record_events([row(1)], lost=4, lost_until_us=NOW - 1)
    found = await store.find_events(EventsWanted(engines=ENGINES), everything)
    assert (found.lost, found.lost_until_us) == (7, NOW - 1)


async def test_the_reserve_for_changes_is_not_used_and_a_store_that_is_gone_says_so(store):
    store._usage = StoreUsage(memory=90, max_memory=100)
    with pytest.raises(errors.StoreFull):
        await store.record_events([row(1)])
    gone = Store.open("unix:///nonexistent/quarterdeck.sock")
    with pytest.raises(errors.StoreDown):
        await gone.find_events(EventsWanted(engines=ENGINES), everything)
    await gone.aclose()


async def test_a_row_of_another_version_is_left_out(store, raw):
    await store.record_events([row(1)])
    (key,) = await raw.hkeys("{qd}:events")
    await raw.hset("{qd}:events", key, b'{"v":2}')
    assert await names(store) == []


def test_another_engine_is_another_event():
    assert event_history._key(row(1)) != event_history._key(row(1, engine=engine_key("engine-2")))


async def test_who_ends_a_container_is_noted_and_taken_once(store):
    await store.record_own_changes(ENGINE, ["a", "b"], b"ann", 60)
    assert await store.take_own_changes(ENGINE, ["a", "c"]) == {"a": b"ann"}
    assert await store.take_own_changes(ENGINE, ["a", "b"]) == {"b": b"ann"}
    await store.record_own_changes(ENGINE, ["a"], b"ann", 0.01)
    await asyncio.sleep(0.05)
    assert await store.take_own_changes(ENGINE, ["a"]) == {}
