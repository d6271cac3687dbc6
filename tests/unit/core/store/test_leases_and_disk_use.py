"""Leases, measurements and the removal of old data, on real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from core.store import keys
from core.store.client import Store
from core.store.records import (
    AuditLimits,
    EventLimits,
    Lease,
    LeaseConflict,
    LeaseRequest,
    RateLimitRule,
    StoredEvent,
    WatchUpdate,
    engine_key,
)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    store = Store.open(store_url, audit=AuditLimits(rows=10_000, seconds=3600))
    yield store
    await store.aclose()


@pytest.fixture
async def raw(store_url: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(store_url) as client:
        yield client


def request(who: str = "a", ttl: float = 60.0) -> LeaseRequest:
    return LeaseRequest(key="schedule", record=who.encode(), ttl=ttl)


async def test_of_many_callers_one_gets_the_lease_and_the_others_learn_who_has_it(store: Store) -> None:
    found = await asyncio.gather(*(store.take_lease(request(str(number))) for number in range(20)))
    (taken,) = [each for each in found if isinstance(each, Lease)]
    refused = [each for each in found if isinstance(each, LeaseConflict)]
    assert len(refused) == 19
    assert {each.record for each in refused} == {str(found.index(taken)).encode()}
    assert all(0 < each.remaining <= 60 for each in refused)


async def test_a_lease_is_renewed_and_released_by_its_holder_only_and_the_next_fence_is_greater(store: Store) -> None:
    first = await store.take_lease(request())
    assert isinstance(first, Lease)
    stranger = Lease(key=first.key, fence=first.fence + 7)
    assert await store.renew_leases([stranger], 60) == 0
    assert await store.release([stranger]) == 0
    assert await store.renew_leases([first], 60) == 1
    assert await store.release([first]) == 1
    second = await store.take_lease(request())
    assert isinstance(second, Lease) and second.fence > first.fence
    assert await store.renew_leases([first], 60) == 0


async def test_a_lease_ends_by_itself(store: Store) -> None:
    first = await store.take_lease(request(ttl=0.05))
    assert isinstance(first, Lease)
    async with asyncio.timeout(60):
        while isinstance(taken := await store.take_lease(request("b")), LeaseConflict):
            await asyncio.sleep(0.01)
    assert taken.fence > first.fence


async def test_a_measurement_is_there_for_its_time(store: Store) -> None:
    assert await store.disk_use("e1") is None
    await store.put_disk_use("e1", b"value", 0.05)
    assert await store.disk_use("e2") is None
    async with asyncio.timeout(60):
        while await store.disk_use("e1") is not None:
            await asyncio.sleep(0.01)


async def test_rows_older_than_their_age_go_without_any_new_row(store: Store, raw: Any) -> None:
    prefix = f"{{{keys.NAMESPACE}}}:"
    for number in range(200):  # rows of two hours ago, as a quiet bot has them
        await raw.xadd(
            prefix + keys.AUDIT.rows, {"phase": "intent", "who": "ann"}, id=f"{1_700_000_000_000 + number}-0"
        )
    await store.append_audit([{"phase": "intent", "who": "ann", "target": "web"}])
    assert await raw.xlen(prefix + keys.AUDIT.rows) > 100, "one row removes only a few old ones"
    assert await store.remove_expired() > 100
    assert await raw.xlen(prefix + keys.AUDIT.rows) == 1
    assert await store.remove_expired() == 0


async def test_entries_of_commands_older_than_a_day_go_and_present_ones_stay(store: Store, raw: Any) -> None:
    index = f"{{{keys.NAMESPACE}}}:{keys.UNFINISHED}"
    rate = RateLimitRule(count=3, period=60)
    await store.enter(id="now", who="ann", risk="read", rate=rate, record=b"ps", replica="r1")
    await raw.zadd(index, {"old": 1_700_000_000_000})
    assert await store.remove_expired() == 1
    assert await raw.zrange(index, 0, -1) == [b"now"]


async def test_old_events_go_without_any_new_event(store_url: str, raw: Any) -> None:
    def events(first: int, ago: int) -> list[StoredEvent]:
        at_us = int(time.time() - ago) * 1_000_000
        return [
            StoredEvent(
                engine=engine_key("e1"),
                padded_us=f"{at_us + number:016d}",
                at_ns=str((at_us + number) * 1000),
                origin="live",
                type="container",
                action="die",
                kind="died",
                subject_kind="container",
                subject_id=f"{number:064d}",
                name="web",
                attrs={},
            )
            for number in range(first, first + 200)
        ]

    times = f"{{{keys.NAMESPACE}}}:{keys.EVENT_TIMES}"
    long, short = (Store.open(store_url, events=EventLimits(seconds=seconds)) for seconds in (86_400.0, 60.0))
    await long.record_events(events(0, 7200))
    await long.record_events(events(200, 5))
    assert await raw.zcard(times) == 400
    assert await long.remove_expired() == 0
    assert await short.remove_expired() == 200
    assert await raw.zcard(times) == 200
    await asyncio.gather(long.aclose(), short.aclose())


async def test_the_position_of_an_engine_that_nobody_watches_is_forgotten_some_day(store: Store, raw: Any) -> None:
    await store.update_watch("e1", WatchUpdate(watcher="r1", cursor=5, recent=b"digests"))
    for key in (keys.cursor("e1"), keys.recent_events("e1")):
        name = f"{{{keys.NAMESPACE}}}:{key}"
        assert 0 < await raw.ttl(name) <= 30 * 86_400
        await raw.expire(name, 100)
    await store.update_watch("e1", WatchUpdate(watcher="r1", watched=7))
    assert await raw.ttl(f"{{{keys.NAMESPACE}}}:{keys.cursor('e1')}") > 100, "it is watched"


async def test_nothing_is_removed_from_an_empty_store(store: Store) -> None:
    assert await store.remove_expired() == 0
