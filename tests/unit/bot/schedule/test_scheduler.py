"""The schedule on a real clock: jobs never overlap, one that fails or hangs stops no other, and all end at shutdown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import structlog

from bot.schedule.leadership import Leadership
from bot.schedule.recurring_job import RecurringJob, RunReport
from bot.schedule.scheduler import Scheduler
from core import errors, metrics
from core.store.records import Lease, LeaseConflict, LeaseRequest

FAST = 0.02


class OneLease:
    """A store that gives every lease, and can fail."""

    def __init__(self) -> None:
        self.down = False
        self.released = 0

    async def take_lease(self, request: LeaseRequest) -> Lease | LeaseConflict:
        self._check()
        return Lease(key=request.key, fence=1)

    async def renew_leases(self, leases: Sequence[Lease], ttl: float) -> int:
        self._check()
        return len(leases)

    async def release(self, leases: Sequence[Lease]) -> int:
        self.released += len(leases)
        return len(leases)

    def _check(self) -> None:
        if self.down:
            raise errors.StoreDown("The store is away.", hint="Start it.")


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(
    *jobs: RecurringJob, leases: OneLease | None = None, seconds: float = 30.0, **more: Any
) -> AsyncIterator[tuple[metrics.Metrics, asyncio.Task[None]]]:
    counts = metrics.Metrics()
    leadership = Leadership(leases or OneLease(), counts, replica="r1", seconds=seconds)
    schedule = Scheduler(jobs, leadership, counts, first=0.0, **more)
    task = asyncio.create_task(schedule.run(), name="schedule")
    try:
        yield counts, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def job(name: str, run: Callable[[], Awaitable[RunReport]], **more: Any) -> RecurringJob:
    return RecurringJob(**{"name": name, "every": FAST, "within": 5.0, "run": run, **more})


def runs(counts: metrics.Metrics, name: str, outcome: str) -> float:
    return counts.registry.get_sample_value("quarterdeck_job_runs_total", {"job_name": name, "outcome": outcome}) or 0.0


def counting(into: list[str], name: str) -> Callable[[], Awaitable[RunReport]]:
    async def run() -> RunReport:
        into.append(name)
        return RunReport()

    return run


async def test_a_job_runs_again_and_again_and_each_run_is_timed_and_counted() -> None:
    done: list[str] = []
    async with running(job("a", counting(done, "a"))) as (counts, _):
        await until(lambda: len(done) >= 3)
        value = counts.registry.get_sample_value
        assert runs(counts, "a", "ok") >= 2
        assert value("quarterdeck_job_duration_seconds_count", {"job_name": "a"}) >= 2
        assert value("quarterdeck_job_last_success_timestamp_seconds", {"job_name": "a"}) > 1_700_000_000


async def test_every_series_exists_before_the_first_run() -> None:
    async def never() -> RunReport:
        await asyncio.Event().wait()
        raise AssertionError

    async with running(job("a", never)) as (counts, _):
        await until(lambda: any(task.get_name() == "job a" for task in asyncio.all_tasks()))
        found = {
            sample.labels["outcome"]
            for family in counts.registry.collect()
            for sample in family.samples
            if sample.name == "quarterdeck_job_runs_total"
        }
        assert found == {"ok", "failed", "skipped"}


async def test_a_job_never_runs_twice_at_once_and_starts_left_out_are_counted() -> None:
    inside, most, go = 0, 0, asyncio.Event()

    async def slow() -> RunReport:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await go.wait()
        inside -= 1
        return RunReport()

    async with running(job("a", slow)) as (counts, _):
        await until(lambda: runs(counts, "a", "skipped") >= 3)
        assert (inside, runs(counts, "a", "ok")) == (1, 0)
        go.set()
        await until(lambda: runs(counts, "a", "ok") >= 2)
    assert most == 1


async def test_a_job_that_hangs_is_ended_at_its_deadline_and_the_others_go_on() -> None:
    done: list[str] = []

    async def hang() -> RunReport:
        await asyncio.Event().wait()
        raise AssertionError

    with structlog.testing.capture_logs() as logs:
        async with running(job("stuck", hang, within=0.05), job("b", counting(done, "b"))) as (counts, _):
            await until(lambda: runs(counts, "stuck", "failed") >= 2 and len(done) >= 5)
    said = [line for line in logs if line["event"] == "A recurring job failed."]
    assert len(said) == 1, "the same failure again and again is one line"
    assert said[0]["job"] == "stuck" and "did not end within" in said[0]["reason"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.Unreachable("The engine is away.", hint="Start it."), "The engine is away."),
        (errors.StoreDown("The store is away.", hint="Start it."), "The store is away."),
        (ValueError("a bug"), "Internal error: ValueError."),
        (TimeoutError(), "did not end within"),
    ],
)
async def test_a_failing_job_is_counted_logged_once_and_tried_again(error: Exception, reason: str) -> None:
    works = False

    async def run() -> RunReport:
        if not works:
            raise error
        return RunReport()

    with structlog.testing.capture_logs() as logs:
        async with running(job("a", run)) as (counts, _):
            await until(lambda: runs(counts, "a", "failed") >= 3)
            succeeded = "quarterdeck_job_last_success_timestamp_seconds"
            assert counts.registry.get_sample_value(succeeded, {"job_name": "a"}) is None
            works = True
            await until(lambda: runs(counts, "a", "ok") >= 1)
    said = [line for line in logs if line["event"] == "A recurring job failed."]
    assert len(said) == 1 and reason in said[0]["reason"]
    assert [line["job"] for line in logs if line["event"] == "A recurring job succeeded again."] == ["a"]


async def test_a_part_that_fails_makes_the_run_a_failure_and_nothing_to_do_is_no_run() -> None:
    times = 0

    async def run() -> RunReport:
        nonlocal times
        times += 1
        return RunReport(faults=("docker/h1 did not answer.",)) if times == 1 else RunReport(idle=True)

    async with running(job("a", run)) as (counts, _):
        await until(lambda: times >= 4)
        assert (runs(counts, "a", "failed"), runs(counts, "a", "ok")) == (1, 0)


async def test_shutdown_in_the_middle_of_a_job_waits_for_its_end_and_gives_up_the_lead() -> None:
    ended: list[str] = []
    begun = asyncio.Event()
    leases = OneLease()

    async def slow() -> RunReport:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # what it has to put in order
            ended.append("in order")
        raise AssertionError

    closed: list[str] = []
    with structlog.testing.capture_logs() as logs:
        async with running(job("a", slow, close=lambda: closed.append("a")), leases=leases) as (counts, task):
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
            assert ended == ["in order"] and closed == ["a"]
            assert not [each for each in asyncio.all_tasks() if each.get_name().startswith("job ")]
            assert leases.released == 1
            assert counts.registry.get_sample_value("quarterdeck_schedule_leader") == 0
            assert runs(counts, "a", "failed") == 0, "a shutdown is no failure"
    assert not [line for line in logs if line["log_level"] in ("warning", "error")]


async def test_nothing_starts_after_shutdown() -> None:
    done: list[str] = []
    async with running(job("a", counting(done, "a"))) as (_, task):
        await until(lambda: done)
        task.cancel()
        await asyncio.wait([task])
        before = len(done)
        for _ in range(10):
            await asyncio.sleep(FAST)
        assert len(done) == before


async def test_a_leader_whose_store_is_gone_stops_its_shared_jobs_says_so_and_leads_again_later() -> None:
    leases, begun, cancelled = OneLease(), 0, 0
    alone: list[str] = []

    async def shared() -> RunReport:
        nonlocal begun, cancelled
        begun += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError

    jobs = (job("shared", shared, shared=True), job("own", counting(alone, "own")))
    with structlog.testing.capture_logs() as logs:
        async with running(*jobs, leases=leases, seconds=3.0) as (counts, _):
            await until(lambda: begun == 1)
            leases.down = True
            await until(lambda: cancelled == 1)
            assert counts.registry.get_sample_value("quarterdeck_schedule_leader") == 0
            await until(lambda: runs(counts, "shared", "failed") == 1)
            now = len(alone)
            await until(lambda: len(alone) >= now + 5)
            assert begun == 1, "without the lead no shared job starts"
            leases.down = False
            await until(lambda: begun == 2)
            assert counts.registry.get_sample_value("quarterdeck_schedule_leader") == 1
    said = [line["event"] for line in logs]
    stopped = "This process is not the leader any more. It stopped the recurring jobs that only one process may run."
    assert stopped in said
    assert said.count("The lease of the leader could not be renewed.") == 1


async def test_a_clock_that_is_set_back_does_not_stop_the_jobs() -> None:
    done: list[str] = []
    offset = 0.0
    loop = asyncio.get_running_loop()

    def wall_clock() -> float:
        return 1_800_000_000.0 + loop.time() + offset

    with structlog.testing.capture_logs() as logs:
        async with running(job("a", counting(done, "a"), every=3600.0), wall_clock=wall_clock, clock_seconds=0.02):
            await until(lambda: len(done) == 1)
            offset = -3600.0
            await until(lambda: len(done) == 2)
    assert [line["event"] for line in logs if "set back" in line["event"]]
