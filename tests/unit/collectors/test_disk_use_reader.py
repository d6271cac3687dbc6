"""The measurements of the disk use: one process measures an engine, one engine at a time, and a failure stays alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from collectors.disk_use_reader import DiskUseReader
from collectors.engine_polling import call_within
from core import errors
from core.model.disk_use import DiskUse, ReadDiskUse
from core.store.client import Store
from core.store.records import Lease, LeaseRequest
from runtimes.base.base_adapter import does
from runtimes.inventory.mirror import Mirror
from tests.daemons.valkey import Valkey
from tests.fake_engine.engine import FakeRuntime

USE = DiskUse(images=100, volumes=20, unused_volumes=1, build_cache=0, writable=3)


class Measured(FakeRuntime):
    """An engine whose measurements the test decides."""

    inside = most = 0  # of all engines of one test

    def __init__(self, host: str, measure: Callable[[], Awaitable[DiskUse]] | None = None) -> None:
        super().__init__(host)
        self.times = 0
        self.measure = measure

    @does(ReadDiskUse)
    async def read_disk_use(self, action: ReadDiskUse, seconds: float) -> DiskUse:
        self.times += 1
        Measured.inside += 1
        Measured.most = max(Measured.most, Measured.inside)
        try:
            await asyncio.sleep(0.01)
            return USE if self.measure is None else await self.measure()
        finally:
            Measured.inside -= 1


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    Measured.inside = Measured.most = 0


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[Store]:
    made = Store.open(valkey.url, timeout=20.0)
    yield made
    await made.aclose()


def reader(shared: Any, *mirrors: Mirror, replica: str = "r1", **more: Any) -> DiskUseReader:
    return DiskUseReader(lambda: mirrors, shared, replica=replica, **more)


async def hang() -> DiskUse:
    await asyncio.Event().wait()
    raise AssertionError


async def fail() -> DiskUse:
    raise errors.Rejected(500, "a disk usage operation is already running")


async def test_an_engine_is_measured_and_again_only_after_the_interval(store: Store) -> None:
    now = 1000.0
    engine = Measured("h1")
    mirror = Mirror(engine, now=lambda: now)
    read = reader(store, mirror, interval=900.0, clock=lambda: now)
    assert (await read.run()).asked == 1
    assert mirror.resources.disk_use is not None and mirror.resources.disk_use.images == 100
    assert mirror.resources.disk_use.read_at == now
    for _ in range(14):
        now += 60.0
        assert (await read.run()).asked == 0
    assert engine.times == 1
    now += 61.0
    await store.put_disk_use(engine.engine_id, b"", 0.001)
    while await store.disk_use(engine.engine_id) is not None:
        await asyncio.sleep(0.005)
    assert (await read.run()).asked == 1
    assert engine.times == 2


async def test_engines_are_measured_one_after_another(store: Store) -> None:
    engines = [Measured(f"h{number}") for number in range(5)]
    done = await reader(store, *map(Mirror, engines)).run()
    assert (done.asked, done.faults, Measured.most) == (5, (), 1)
    assert [engine.times for engine in engines] == [1] * 5


async def test_two_runs_and_a_person_at_once_are_one_measurement(store: Store) -> None:
    engine = Measured("h1")
    mirror = Mirror(engine)
    read = reader(store, mirror)
    call = call_within(5.0, "df")
    found = await asyncio.gather(read.run(), read.run(), mirror.run(ReadDiskUse(engine=mirror.ref), call))
    assert (engine.times, Measured.most) == (1, 1)
    assert found[2].images == 100


async def test_who_asks_during_a_long_measurement_gets_the_last_one_or_a_sentence(store: Store) -> None:
    engine = Measured("h1", hang)
    now = 1000.0
    mirror = Mirror(engine, now=lambda: now)
    running = asyncio.create_task(reader(store, mirror).run())
    async with asyncio.timeout(60):
        while not engine.times:
            await asyncio.sleep(0.005)
    with pytest.raises(errors.TimedOut, match="still being measured"):
        await mirror.run(ReadDiskUse(engine=mirror.ref), call_within(0.05, "df"))
    mirror.resources.disk_use = USE
    assert await mirror.run(ReadDiskUse(engine=mirror.ref), call_within(0.05, "df")) == USE
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert engine.times == 1


async def test_a_persons_question_starts_no_measurement_while_the_schedule_measures_regularly(store: Store) -> None:
    now = 1000.0
    engine = Measured("h1")
    mirror = Mirror(engine, now=lambda: now)
    await reader(store, mirror).run()
    for after, times in ((890.0, 1), (300.0, 1), (60.0, 2)):
        now += after
        await mirror.run(ReadDiskUse(engine=mirror.ref), call_within(5.0, "df"))
        assert engine.times == times


async def test_many_processes_measure_an_engine_once_and_all_have_the_result(store: Store) -> None:
    engines = [Measured("h1") for _ in range(6)]
    mirrors = [Mirror(engine) for engine in engines]
    readers = [reader(store, mirror, replica=f"r{number}") for number, mirror in enumerate(mirrors)]
    await asyncio.gather(*(each.run() for each in readers))
    await asyncio.gather(*(each.run() for each in readers))
    assert sum(engine.times for engine in engines) == 1
    assert {mirror.resources.disk_use for mirror in mirrors} == {mirrors[0].resources.disk_use}
    assert mirrors[0].resources.disk_use is not None


async def test_a_restarted_process_takes_over_what_is_stored(store: Store) -> None:
    first, second = Measured("h1"), Measured("h1")
    await reader(store, Mirror(first)).run()
    mirror = Mirror(second)
    await reader(store, mirror, replica="r2").run()
    assert (second.times, mirror.resources.disk_use is not None) == (0, True)


async def test_an_engine_that_hangs_is_left_at_its_deadline_and_the_next_are_measured(store: Store) -> None:
    stuck, fine = Measured("h1", hang), Measured("h2")
    mirrors = Mirror(stuck), Mirror(fine)
    read = reader(store, *mirrors, deadline=3.0)
    done = await read.run()
    assert done.asked == 2 and len(done.faults) == 1 and "h1" in done.faults[0]
    assert (mirrors[0].resources.disk_use, fine.times) == (None, 1)
    assert isinstance(await store.take_lease(lease(stuck)), Lease), "the lease is free again"
    # Not again before the interval: it would hang again, in this process and in the others.
    await read.run()
    await reader(store, Mirror(other := Measured("h1", hang)), replica="r2").run()
    assert (stuck.times, other.times) == (1, 0)


async def test_an_engine_that_refuses_is_a_fault_with_its_own_words(store: Store) -> None:
    done = await reader(store, Mirror(Measured("h1", fail)), Mirror(Measured("h2"))).run()
    assert len(done.faults) == 1 and "already running" in done.faults[0]


async def test_silent_engines_and_those_that_may_not_be_measured_are_not_asked(store: Store) -> None:
    silent, forbidden = Measured("h1"), Measured("h2")
    forbidden._allow = ("container.*",)
    mirror = Mirror(silent)
    mirror.engine_silent(errors.Unreachable("It is away.", hint="Start it."))
    unable = FakeRuntime("h3", lacks=(ReadDiskUse.verb,))
    done = await reader(store, mirror, Mirror(forbidden), Mirror(unable)).run()
    assert (done.asked, silent.times, forbidden.times) == (0, 0, 0)


async def test_without_the_store_only_who_measured_last_goes_on(valkey: Valkey, store: Store) -> None:
    now = 1000.0
    first, second = Measured("h1"), Measured("h1")
    mirrors = Mirror(first, now=lambda: now), Mirror(second, now=lambda: now)
    readers = [
        reader(store, mirror, replica=f"r{number}", interval=900.0, clock=lambda: now)
        for number, mirror in enumerate(mirrors)
    ]
    await readers[0].run()
    await readers[1].run()
    assert (first.times, second.times) == (1, 0)
    valkey.stop()
    try:
        now += 901.0
        assert (await readers[0].run()).faults == ()
        done = await readers[1].run()
        assert len(done.faults) == 1 and "store" in done.faults[0].lower()
        assert (first.times, second.times) == (2, 0)
    finally:
        await asyncio.to_thread(valkey.start)
    assert (await readers[1].run()).faults == ()


async def test_a_result_that_could_not_be_stored_is_not_measured_again(store: Store, monkeypatch: Any) -> None:
    engine = Measured("h1")
    mirror = Mirror(engine)
    read = reader(store, mirror)

    async def full(*_: Any) -> None:
        raise errors.StoreFull("The store is full.", hint="Make room.")

    monkeypatch.setattr(store, "put_disk_use", full)
    done = await read.run()
    assert len(done.faults) == 1 and mirror.resources.disk_use is not None
    await read.run()
    assert engine.times == 1


async def test_a_cancelled_measurement_gives_its_lease_back(store: Store) -> None:
    engine = Measured("h1", hang)
    task = asyncio.create_task(reader(store, Mirror(engine)).run())
    async with asyncio.timeout(60):
        while not engine.times:
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert isinstance(await store.take_lease(lease(engine)), Lease)
    assert await store.disk_use(engine.engine_id) is None, "another process may measure at once"


async def test_a_stored_value_of_another_version_counts_as_measured(store: Store) -> None:
    engine = Measured("h1")
    mirror = Mirror(engine)
    await store.put_disk_use(engine.engine_id, b'{"use": {"images": "many"}}', 60)
    assert (await reader(store, mirror).run()).faults == ()
    assert (engine.times, mirror.resources.disk_use) == (0, None)


def lease(engine: Measured) -> Any:
    return LeaseRequest(key=f"disk-use:{engine.engine_id}", record=b"t", ttl=5)
