"""The queues of other systems, on a real store: nothing is skipped, nothing is delivered in an old state."""

from __future__ import annotations

import asyncio

import pytest

from core.store.client import Store
from core.store.outlets import MAX_MOVED


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


async def change(store, *names):
    for name in names:
        before = await store.incident(name)
        assert await store.change_incident(name, before, (before or b"") + b"x")


async def keys_of(store, outlet, limit=100):
    return [entry.key for entry in (await store.outlet_queue(outlet, limit)).entries]


async def test_an_outlet_begins_at_the_present_and_gets_what_changes_from_then_on(store):
    await change(store, "a", "b")
    assert await keys_of(store, "t") == []
    await change(store, "c", "a")
    assert await keys_of(store, "t") == ["c", "a"]
    assert await keys_of(store, "other") == []


async def test_what_changes_again_is_queued_once_and_is_not_taken_as_delivered(store):
    await keys_of(store, "t")
    await change(store, "a")
    (first,) = (await store.outlet_queue("t", 10)).entries
    await change(store, "a", "a")
    (second,) = (await store.outlet_queue("t", 10)).entries
    assert second.at_us > first.at_us
    assert not await store.outlet_delivered("t", first)
    assert await store.outlet_delivered("t", second)
    assert await keys_of(store, "t") == []
    assert not await store.outlet_delivered("t", second)


async def test_changes_at_the_same_moment_have_different_times_so_none_is_skipped(store):
    await keys_of(store, "t")
    seen = set()

    async def reads():
        for _ in range(50):
            seen.update(await keys_of(store, "t", 1000))

    await asyncio.gather(reads(), *(change(store, f"k{number}") for number in range(300)))
    seen.update(await keys_of(store, "t", 1000))
    assert seen == {f"k{number}" for number in range(300)}


async def test_a_queue_is_read_and_filled_in_parts(store):
    await keys_of(store, "t")
    await change(store, *(f"k{number}" for number in range(MAX_MOVED + 50)))
    first = await store.outlet_queue("t", 10)
    assert (first.size, len(first.entries)) == (MAX_MOVED, 10)
    second = await store.outlet_queue("t", 10)
    assert second.size == MAX_MOVED + 50 and second.entries == first.entries


async def test_the_entries_after_a_time_are_read_and_the_oldest_is_known(store):
    await keys_of(store, "t")
    assert (await store.outlet_queue("t", 10)).oldest_us == 0
    await change(store, "a", "b", "c")
    first, second, third = (await store.outlet_queue("t", 10)).entries
    rest = await store.outlet_queue("t", 10, first.at_us)
    assert rest.entries == (second, third) and (rest.size, rest.oldest_us) == (3, first.at_us)
    assert (await store.outlet_queue("t", 10, third.at_us)).entries == ()


async def test_what_people_were_told_is_no_change(store):
    await keys_of(store, "t")
    await change(store, "a")
    assert await store.incident_told("a", b"x", b"told")
    (entry,) = (await store.outlet_queue("t", 10)).entries
    assert await store.outlet_delivered("t", entry)
    await store.remove_incidents(["a"])
    assert await keys_of(store, "t") == []


async def test_received_alerts_are_stored_until_they_are_removed(store):
    await store.put_received_alerts({})
    await store.put_received_alerts({"a": b"1", "b": b"2"})
    assert await store.received_alerts(["a", "c"]) == {"a": b"1"} and await store.received_alerts([]) == {}
    assert await store.received_alert_count() == 2 and sorted(await store.all_received_alerts()) == ["a", "b"]
    await store.remove_received_alerts(["a", "c"])
    await store.remove_received_alerts([])
    assert await store.all_received_alerts() == ["b"]


async def test_of_several_processes_one_gets_the_time_in_which_nobody_watched(store, valkey):
    assert await store.watched_until_now(60) == 0
    key = b"{qd}:watched"
    last = int(await store._client.get(key))
    await store._client.set(key, last - 600_000)
    passed = await asyncio.gather(*(store.watched_until_now(60) for _ in range(5)))
    assert sum(each > 500 for each in passed) == 1
    assert all(each < 60 for each in sorted(passed)[:4])
    assert await store._client.ttl(key) <= 60
