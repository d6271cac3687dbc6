"""The jobs of every process, run by the schedule on an engine in memory and a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from bot.schedule.leadership import Leadership
from bot.schedule.recurring_job import RecurringJob
from bot.schedule.scheduler import Scheduler
from bot.schedule.slow_reads_and_cleanup import make_shared_jobs
from collectors.exposition import Exposition
from core import metrics
from core.model.disk_use import DiskUse, ReadDiskUse
from core.store.client import Store
from runtimes.base.base_adapter import does
from runtimes.inventory.mirror import Mirror
from tests.daemons.valkey import Valkey
from tests.fake_engine.engine import FakeRuntime


class Measured(FakeRuntime):
    @does(ReadDiskUse)
    async def read_disk_use(self, action: ReadDiskUse, seconds: float) -> DiskUse:
        await self._answer("disk use", seconds)
        return DiskUse(images=1234)


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[Store]:
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


def jobs(
    mirrors: Sequence[Mirror], store: Store, disk_use: timedelta | None = timedelta(minutes=15)
) -> Sequence[RecurringJob]:
    return make_shared_jobs(lambda: mirrors, store, replica="r1", disk_use=disk_use)


def test_only_the_removal_of_old_data_is_shared_and_disk_use_may_be_off(store: Store) -> None:
    assert [job.name for job in jobs((), store) if job.shared] == ["retention"]
    names = {job.name for job in jobs((), store)}
    assert names - {job.name for job in jobs((), store, None)} == {"disk_use"}


async def test_each_job_does_its_part_and_an_engine_that_is_away_is_named(store: Store) -> None:
    fine, away = Measured("h1"), Measured("h2")
    fine.add("web")
    away.reachable = False
    mirrors = Mirror(fine), Mirror(away)
    counts = metrics.Metrics()
    leadership = Leadership(store, counts, replica="r1")
    await leadership.renew()
    schedule = Scheduler(jobs(mirrors, store), leadership, counts, first=0.0)
    task = asyncio.create_task(schedule.run(), name="schedule")

    def runs(name: str, outcome: str) -> float | None:
        labels = {"job_name": name, "outcome": outcome}
        return counts.registry.get_sample_value("quarterdeck_job_runs_total", labels)

    try:
        async with asyncio.timeout(60):
            while not (runs("retention", "ok") and runs("disk_use", "failed") and runs("resources", "failed")):
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    page = Exposition(counts, lambda: mirrors).render().decode()
    assert 'quarterdeck_images{host="h1",engine="fake"} 1\n' in page
    assert 'quarterdeck_images_size_bytes{host="h1",engine="fake"} 1234\n' in page
    assert 'quarterdeck_images{host="h2"' not in page
