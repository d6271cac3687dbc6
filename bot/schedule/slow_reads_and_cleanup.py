"""Lists the jobs of every process: reading slowly changing data from the engines, and removing old data from the store.

Most jobs check once a minute whether work is due, so that a new engine has its values soon. The collectors document how
often each engine is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from bot.notify.good_container_runs import GoodContainerRunsRecorder
from bot.notify.old_incident_cleanup import remove_old_incidents
from bot.notify.posted_incidents import remove_old_entries
from bot.schedule.recurring_job import RecurringJob, RunReport
from collectors.data_filesystem_reader import DataFilesystemReader
from collectors.disk_use_reader import DiskUseReader
from collectors.engine_polling import PollingRound
from collectors.resource_counter import ResourceCounter
from collectors.systemd_unit_reader import SystemdUnitReader
from core.store.client import Store
from runtimes.inventory.mirror import Mirror

TICK_SECONDS = 60.0
UNITS_SECONDS = 120.0  # systemd is asked about every service of the machine
ROUND_SECONDS = 300.0
DISK_USE_SECONDS = 3600.0  # for all engines together; each has a deadline of its own
RETENTION_SECONDS = 600.0


def make_shared_jobs(
    mirrors: Callable[[], Sequence[Mirror]], store: Store, *, replica: str, disk_use: timedelta | None
) -> Sequence[RecurringJob]:
    """`disk_use`: the time between two measurements of one engine; None: never."""
    runs = GoodContainerRunsRecorder(mirrors, store)
    roots, counter, units = DataFilesystemReader(mirrors), ResourceCounter(mirrors), SystemdUnitReader(mirrors)
    jobs = [
        RecurringJob(name="resources", every=TICK_SECONDS, within=ROUND_SECONDS, run=_round(counter.run)),
        RecurringJob(
            name="filesystems", every=TICK_SECONDS, within=ROUND_SECONDS, run=_round(roots.run), close=roots.close
        ),
        RecurringJob(name="units", every=UNITS_SECONDS, within=ROUND_SECONDS, run=_round(units.run)),
        RecurringJob(name="good_runs", every=TICK_SECONDS, within=ROUND_SECONDS, run=_round(runs.run)),
        RecurringJob(
            name="retention", every=RETENTION_SECONDS, within=ROUND_SECONDS, run=_retention(store), shared=True
        ),
    ]
    if disk_use is not None:
        reader = DiskUseReader(mirrors, store, replica=replica, interval=disk_use.total_seconds())
        jobs.append(RecurringJob(name="disk_use", every=TICK_SECONDS, within=DISK_USE_SECONDS, run=_round(reader.run)))
    return jobs


def _round(run: Callable[[], Awaitable[PollingRound]]) -> Callable[[], Awaitable[RunReport]]:
    async def once() -> RunReport:
        done = await run()
        return RunReport(idle=not done.asked, faults=done.faults)

    return once


def _retention(store: Store) -> Callable[[], Awaitable[RunReport]]:
    async def once() -> RunReport:
        await store.remove_expired()
        await remove_old_incidents(store)
        await remove_old_entries(store)
        await store.remove_old_runs()
        return RunReport()

    return once
