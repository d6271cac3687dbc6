"""Removes the records of received alerts whose incident does not fire any more, for example because it was removed.

When an Alertmanager reports the end of an alert, its record is removed at once. This job removes the records for which
such a report never came. A new record is stored a moment before its incident. So a record is removed only if two runs
of the job found no firing incident for it.
"""

from __future__ import annotations

from bot.notify.incident_writer import each_incident
from bot.schedule.recurring_job import RecurringJob, RunReport
from core.store.client import Store

EVERY_SECONDS, WITHIN_SECONDS = 600.0, 60.0


def make_cleanup_job(store: Store) -> RecurringJob:
    """Makes the recurring job. It remembers between two runs which records it found."""
    found_before: frozenset[str] = frozenset()

    async def run() -> RunReport:
        nonlocal found_before
        recorded = await store.all_received_alerts()
        if not recorded:
            return RunReport(idle=True)
        unfound = set(recorded)
        async for incident in each_incident(store):
            unfound.difference_update(alert.fingerprint for alert in incident.firing)
        left_over = frozenset(unfound)
        await store.remove_received_alerts(sorted(left_over & found_before))
        found_before = left_over - found_before
        return RunReport()

    return RecurringJob(name="received_alerts", every=EVERY_SECONDS, within=WITHIN_SECONDS, run=run, shared=True)
