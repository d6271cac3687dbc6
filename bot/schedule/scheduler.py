"""Starts each recurring job when it is due, and counts its runs. APScheduler computes when a job is due.

A run is a named task of this module. A job never runs twice at once: a start that comes too early is left out and
counted. If several starts were missed, for example while the machine slept, the job runs once. A job that fails, or
that takes too long, does not affect the others. A shared job runs only in the process that leads, and is cancelled when
that process stops leading. When the schedule is cancelled, it cancels its runs, waits for them and gives up its lease.

APScheduler follows the system's clock. If that clock is set back, all jobs start once at that moment. Otherwise they
would wait until the clock reaches its old time again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.schedule.leadership import Leadership
from bot.schedule.recurring_job import RecurringJob, RunReport
from core import errors, metrics, shared_ticks, tasks
from core.repeated_log import RepeatedLog

log = structlog.get_logger(__name__)
FIRST_SECONDS = 5.0  # after the start, so that the engines are known by then
CLOCK_SECONDS = 30.0  # between two looks at the system's clock
SET_BACK_SECONDS = 10.0  # from which on the system's clock counts as set back
OUTCOMES = ("ok", "failed", "skipped")
_SILENT = logging.Logger("apscheduler")  # what APScheduler reports is counted and logged here
_SILENT.addHandler(logging.NullHandler())


class Scheduler:
    """Runs jobs until it is cancelled. `first`: seconds until each job runs for the first time."""

    def __init__(
        self,
        jobs: Sequence[RecurringJob],
        leadership: Leadership,
        counts: metrics.Metrics,
        *,
        first: float = FIRST_SECONDS,
        wall_clock: Callable[[], float] = time.time,
        clock_seconds: float = CLOCK_SECONDS,
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._leadership = leadership
        self._counts = counts
        self._first = first
        self._wall_clock = wall_clock
        self._clock_seconds = clock_seconds
        self._running: dict[asyncio.Task[None], RecurringJob] = {}
        self._closing = False
        self._faults = {name: RepeatedLog() for name in self._jobs}
        leadership.on_lost = self._cancel_shared
        for name in self._jobs:  # so that every series exists before its first run
            for outcome in OUTCOMES:
                counts.job_runs_total.labels(name, outcome)

    async def run(self) -> None:
        """Runs the jobs. Never returns."""
        scheduler = AsyncIOScheduler(timezone=UTC, logger=_SILENT, executors={"default": _TaskExecutor(self._start)})
        scheduler.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES)
        for job in self._jobs.values():
            scheduler.add_job(
                job.run,
                "interval",
                seconds=job.every,
                id=job.name,
                next_run_time=datetime.now(UTC) + timedelta(seconds=self._first),
                coalesce=True,
                misfire_grace_time=None,  # however late it is
                max_instances=1,
            )
        self._closing = False
        scheduler.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._leadership.keep(), name="lead the shared jobs")
                group.create_task(self._follow_clock(scheduler), name="follow the system's clock")
        finally:
            self._closing = True
            scheduler.shutdown(wait=False)
            runs = list(self._running)
            for run in runs:
                run.cancel()
            await asyncio.gather(self._leadership.release(), *runs, return_exceptions=True)
            for job in self._jobs.values():
                job.close()

    # ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, name: str) -> asyncio.Task[None]:
        job = self._jobs[name]
        run = tasks.start(f"job {name}", self._run(job))
        self._running[run] = job
        run.add_done_callback(self._running.pop)
        return run

    async def _run(self, job: RecurringJob) -> None:
        if self._closing or (job.shared and not self._leadership.held):
            return
        began = time.monotonic()
        try:
            async with asyncio.timeout(job.within):
                report = await job.run()
        except TimeoutError:
            report = RunReport(faults=(f"It did not end within {job.within:.0f} s and was cancelled.",))
        except asyncio.CancelledError:
            if self._closing or not job.shared or self._leadership.held:
                raise
            report = RunReport(faults=("It was cancelled, because this process stopped leading.",))
        except errors.QuarterdeckError as error:
            report = RunReport(faults=(error.full_message(),))
        except Exception as error:
            # A bug in one job must not end the schedule.
            log.exception("A recurring job failed because of a bug.", job=job.name)
            report = RunReport(faults=(f"Internal error: {type(error).__name__}.",))
        if not report.idle or report.faults:
            self._counts.job_duration_seconds.labels(job.name).observe(time.monotonic() - began)
            self._finish(job.name, report)

    def _finish(self, name: str, report: RunReport) -> None:
        self._counts.job_runs_total.labels(name, "failed" if report.faults else "ok").inc()
        if report.faults:
            if times := self._faults[name].due(reason := " ".join(report.faults)):
                log.warning("A recurring job failed.", job=name, reason=reason, times=times)
            return
        self._counts.job_last_success_timestamp_seconds.labels(name).set(self._wall_clock())
        if self._faults[name].ended():
            log.info("A recurring job succeeded again.", job=name)

    def _skipped(self, event: JobSubmissionEvent) -> None:
        log.debug("A recurring job was not started, because its previous run has not ended.", job=event.job_id)
        self._counts.job_runs_total.labels(event.job_id, "skipped").inc()

    # ── around the runs ──────────────────────────────────────────────────────────────────────────────────────────

    def _cancel_shared(self) -> None:
        for run, job in self._running.items():
            if job.shared:
                run.cancel()

    async def _follow_clock(self, scheduler: AsyncIOScheduler) -> None:
        loop = asyncio.get_running_loop()
        while True:
            expected = self._wall_clock() - loop.time()
            await shared_ticks.sleep_to_tick(self._clock_seconds)
            if self._wall_clock() - loop.time() < expected - SET_BACK_SECONDS:
                log.warning("The system's clock was set back. All recurring jobs were started.", action="schedule")
                for name in self._jobs:
                    scheduler.modify_job(name, next_run_time=datetime.now(UTC))


class _TaskExecutor(BaseExecutor):  # type: ignore[misc] # APScheduler has no types
    """Lets APScheduler start a run with `start`, which returns its task."""

    def __init__(self, start: Callable[[str], asyncio.Task[None]]) -> None:
        super().__init__()
        self._start_run = start

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        self._start_run(job.id).add_done_callback(lambda _: self._run_job_success(job.id, ()))
