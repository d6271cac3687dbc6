"""One leader on a real store: one of several processes leads, and one that dies is replaced within its lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from bot.schedule.leadership import Leadership
from bot.schedule.recurring_job import RecurringJob, RunReport
from bot.schedule.scheduler import Scheduler
from core import metrics
from core.store.client import Store
from tests.daemons.valkey import Valkey

LEASE = 2.0


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


class Replica:
    """One process: its own connection, leadership and schedule, with one shared job that notes who runs it."""

    def __init__(self, url: str, name: str, log: list[str], seconds: float) -> None:
        self.name = name
        self.store = Store.open(url, timeout=20.0)
        self.counts = metrics.Metrics()
        self.leadership = Leadership(self.store, self.counts, replica=name, seconds=seconds)
        self.log = log
        job = RecurringJob(name="shared", every=0.05, within=5.0, run=self._run, shared=True)
        self.schedule = Scheduler([job], self.leadership, self.counts, first=0.0)
        self.task = asyncio.create_task(self.schedule.run(), name=f"schedule of {name}")

    async def _run(self) -> RunReport:
        self.log.append(self.name)
        return RunReport()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@contextlib.asynccontextmanager
async def replicas(url: str, *names: str, seconds: float = LEASE) -> AsyncIterator[tuple[list[Replica], list[str]]]:
    log: list[str] = []
    made = [Replica(url, name, log, seconds) for name in names]
    try:
        yield made, log
    finally:
        for each in made:
            await each.stop()
            with contextlib.suppress(Exception):
                await each.store.aclose()


async def test_two_schedules_on_one_store_have_one_leader(valkey: Valkey) -> None:
    async with replicas(valkey.url, "a", "b", seconds=60.0) as (made, log):
        await until(lambda: len(log) >= 5)
        assert len(set(log)) == 1
        assert [each.leadership.held for each in made].count(True) == 1
        leading = {each.counts.registry.get_sample_value("quarterdeck_schedule_leader") for each in made}
        assert leading == {0.0, 1.0}


async def test_a_leader_that_stops_hands_over_at_once(valkey: Valkey) -> None:
    async with replicas(valkey.url, "a", "b") as (made, log):
        await until(lambda: log)
        first = next(each for each in made if each.name == log[0])
        await first.stop()
        before = len(log)
        await until(lambda: len(log) > before)
        assert log[-1] != first.name


async def test_a_leader_that_dies_is_replaced_when_its_lease_ends(valkey: Valkey, monkeypatch: Any) -> None:
    async with replicas(valkey.url, "a", "b") as (made, log):
        await until(lambda: log)
        first = next(each for each in made if each.name == log[0])

        async def nothing(*_: Any) -> int:
            return 0

        monkeypatch.setattr(first.store, "release", nothing)  # killed: it can release nothing
        await first.stop()
        before = len(log)
        await until(lambda: len(log) > before)
        assert log[-1] != first.name


async def test_a_leader_that_hangs_beyond_its_lease_does_not_lead_beside_the_next_one(
    valkey: Valkey, monkeypatch: Any
) -> None:
    async with replicas(valkey.url, "a", "b") as (made, log):
        await until(lambda: log)
        first = next(each for each in made if each.name == log[0])
        other = next(each for each in made if each is not first)
        overlap = []

        async def hang(*_: Any) -> int:
            await asyncio.sleep(2 * LEASE)
            return 0

        monkeypatch.setattr(first.store, "renew_leases", hang)
        before = len(log)
        await until(lambda: overlap.append(first.leadership.held and other.leadership.held) or other.leadership.held)
        assert not any(overlap) and not first.leadership.held
        await until(lambda: other.name in log[before:])


async def test_without_the_store_nobody_leads_and_one_leads_when_it_is_back(valkey: Valkey) -> None:
    async with replicas(valkey.url, "a", "b") as (made, log):
        await until(lambda: log)
        valkey.stop()
        try:
            await until(lambda: not any(each.leadership.held for each in made))
        finally:
            await asyncio.to_thread(valkey.start)
        before = len(log)
        await until(lambda: len(log) > before)
        assert [each.leadership.held for each in made].count(True) == 1
