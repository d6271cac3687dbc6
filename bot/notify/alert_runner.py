"""Runs the alert rules of this process: evaluates them once a second and at each event, and passes the alerts to the
updater, which stores them in incidents.

After a restart, the alerts that fired before go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from bot.notify.incident_updater import IncidentUpdater, stored_incidents
from collectors.alert_evaluator import Evaluator
from collectors.engine_state_events import EngineStateEvents
from collectors.rule import Rule
from core import errors, metrics, supervise
from core.model.alerts import Severity
from core.store.incidents import IncidentStore
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
TICK_SECONDS = 1.0
SILENT_SECONDS = 30.0  # without any contact, from which on an engine counts as not watched
RETRY_SECONDS = 5.0
RESTART = supervise.Backoff()


class AlertRunner:
    """Holds the evaluator and the incident updater. `changed` is set whenever an incident was stored."""

    def __init__(
        self,
        rules: Sequence[Rule],
        store: IncidentStore,
        counts: metrics.Metrics,
        *,
        is_own: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._counts = counts
        self.changed = asyncio.Event()
        self.updater = IncidentUpdater(store, counts, self.changed.set)
        self._engines = EngineStateEvents()
        self.evaluator = Evaluator(rules, self.updater.report, is_own=is_own)

    def start(self, supervisor: supervise.Supervisor, mirrors: Callable[[], Sequence[Mirror]]) -> None:
        """Starts the background tasks. `mirrors` returns the engines that are watched."""
        supervisor.start_background("incident_updater", self.updater.run, RESTART)
        supervisor.start_background("alert_rules", lambda: self._tick_forever(mirrors), RESTART)

    async def _tick_forever(self, mirrors: Callable[[], Sequence[Mirror]]) -> None:
        await self._restore()
        while True:
            watched = mirrors()
            self.evaluator.observe(self._engines.compare((each.ref, _fault(each)) for each in watched), {})
            self.evaluator.tick({each.ref: each.containers for each in watched if not _fault(each)}.get)
            self._measure()
            await asyncio.sleep(TICK_SECONDS)

    async def _restore(self) -> None:
        """Goes on with the alerts that fired when the last process ended."""
        while True:
            try:
                stored = await stored_incidents(self._store)
            except errors.StoreError as error:
                log.debug("the stored incidents could not be read", reason=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.evaluator.restore(alert for incident in stored for alert in incident.firing)
            return

    def _measure(self) -> None:
        firing = [alert.severity for alert in self.evaluator.firing]
        for severity in Severity:
            self._counts.alerts_firing.labels(str(severity)).set(firing.count(severity))
        self._counts.alerts_queued.set(self.updater.queued)
        self._counts.alerts_dropped.set(self.evaluator.dropped)


def _fault(mirror: Mirror) -> str:
    """Returns why an engine is not watched; empty if it is. An engine without an event stream is listed instead."""
    return mirror.not_live_reason if time.time() - mirror.last_contact > SILENT_SECONDS else ""
