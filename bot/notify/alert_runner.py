"""Runs the alert rules of this process: evaluates them once a second and at each event, and passes the alerts to the
writer, which stores them in incidents.

After a restart, the alerts that fired before continue. If their condition is over by then, they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Sequence

import structlog

from bot.notify.incident_metrics import IncidentMetrics
from bot.notify.incident_writer import IncidentWriter, each_incident
from bot.notify.removed_engines import RemovedEngineCheck
from bot.notify.unstored_alerts import UnstoredAlertsFile
from collectors.alert_evaluator import Evaluator
from collectors.engine_state_events import EngineStateEvents
from collectors.host_state_events import HostReadings, HostStateEvents
from collectors.restart_count_events import RestartCountEvents
from collectors.restored_alerts import RestoredAlerts
from collectors.rule import Rule
from collectors.unwatched_time import UnwatchedTimeFinder
from core import errors, metrics, shared_ticks, supervise
from core.model.alerts import AlertState, Severity
from core.model.bot_actions import BOT
from core.model.refs import EngineRef
from core.store.client import Store
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
TICK_SECONDS = 1.0
SILENT_SECONDS = 30.0  # without any contact, from which on an engine counts as not watched
RETRY_SECONDS = 1.0  # until the stored incidents are read again
DRAIN_SECONDS = 3.0  # for what earlier processes left to be stored
NOTE_SECONDS = 5.0  # between two records that an engine is watched
NOTE_TTL_SECONDS = 30 * 86_400.0
RESTART = supervise.Backoff()


class AlertRunner:
    """Holds the evaluator and the incident writer. `changed` is set whenever an incident was stored. `spool`: the file
    for alerts that wait for the store."""

    def __init__(
        self,
        rules: Sequence[Rule],
        store: Store,
        counts: metrics.Metrics,
        *,
        is_own: Callable[[str], bool],
        spool: UnstoredAlertsFile | None = None,
    ) -> None:
        self._store = store
        self._counts = counts
        self.changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = [self.changed.set]
        self.writer = IncidentWriter(store, counts, self._tell, spool)
        self._incident_metrics = IncidentMetrics(store, counts)
        self._engines = EngineStateEvents()
        self._unwatched = UnwatchedTimeFinder()
        self.ticked_at = float("-inf")
        """When the rules were last evaluated, by a monotonic clock."""
        self._hosts = HostStateEvents()
        self._restarts: dict[EngineRef, RestartCountEvents] = {}
        for rule, state in itertools.product(rules, AlertState):
            # Prometheus sees no increase in the first value of a series, so each begins at 0.
            counts.alerts_total.labels(rule.name, str(state))
        self.evaluator = Evaluator(rules, self.writer.report, is_own=is_own)
        self._restored = RestoredAlerts(self.evaluator)

    def start(self, supervisor: supervise.Supervisor, mirrors: Callable[[], Sequence[Mirror]]) -> None:
        """Starts the background tasks. `mirrors` returns the engines that are watched."""
        supervisor.start_background("incident_writer", self.writer.run, RESTART)
        supervisor.start_background("incident_metrics", self._incident_metrics.run, RESTART)
        supervisor.start_background("watch_record", self._record_watch, RESTART)
        removed = RemovedEngineCheck(self._store, self._restored, mirrors, _fault)
        supervisor.start_background("removed_engines", removed.run, RESTART)
        supervisor.start_background("alert_rules", lambda: self._tick_forever(mirrors), RESTART)

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls `changed` whenever an incident was stored. Returns the function that ends this."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    async def _tick_forever(self, mirrors: Callable[[], Sequence[Mirror]]) -> None:
        restored, restore_at = False, 0.0
        with contextlib.suppress(TimeoutError):  # the engines' first events must meet the alerts of before
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.writer.drained.wait()
        while True:
            if not restored and time.monotonic() >= restore_at:
                restored, restore_at = await self._restore(), time.monotonic() + RETRY_SECONDS
            watched = mirrors()
            answering = {each.ref: each for each in watched if not _fault(each)}
            if self._restored.compare({each.ref for each in watched}, answering):
                self._hosts.report_disks_again()
            self.evaluator.observe(self._engines.compare((each.ref, _fault(each)) for each in watched), {})
            self.evaluator.observe(self._hosts.compare(map(_readings, watched)), {})
            self._compare_restarts(watched)
            self.evaluator.tick({ref: each.containers for ref, each in answering.items()}.get)
            self._measure()
            self._note_watch(bool(answering))
            await shared_ticks.sleep_to_tick(TICK_SECONDS)

    def _compare_restarts(self, watched: Sequence[Mirror]) -> None:
        self._restarts = {each.ref: self._restarts.get(each.ref) or RestartCountEvents() for each in watched}
        for mirror in watched:
            events = self._restarts[mirror.ref].compare(mirror.containers, mirror.version)
            self.evaluator.observe(events, mirror.containers)

    async def _restore(self) -> bool:
        """Reads the alerts that fired when the last process ended. Returns whether they are known."""
        if not self.writer.drained.is_set():
            return False
        try:
            own = [
                alert async for incident in each_incident(self._store) for alert in incident.firing if not alert.source
            ]
        except errors.StoreError as error:
            log.debug("The stored incidents could not be read.", reason=error.message)
            return False
        self._restored.add(own)
        return True

    def _note_watch(self, watching: bool) -> None:
        self.ticked_at = time.monotonic()
        self._unwatched.note(watching=watching)
        if watching:
            self._counts.watch_timestamp_seconds.set(time.time())

    async def _record_watch(self) -> None:
        """Records every few seconds that an engine is watched, and reports a time in which no process did that."""
        while True:
            await shared_ticks.sleep_to_tick(NOTE_SECONDS)
            if not self._unwatched.watching:
                continue
            try:
                passed = await self._store.watched_until_now(NOTE_TTL_SECONDS)
            except errors.StoreError as error:
                log.debug("The time at which the engines were last watched could not be stored.", reason=error.message)
                continue
            if (event := self._unwatched.event(BOT, passed)) is not None:
                self.evaluator.observe([event], {})

    def _measure(self) -> None:
        firing = [alert.severity for alert in self.evaluator.firing]
        for severity in Severity:
            self._counts.alerts_firing.labels(str(severity)).set(firing.count(severity))
        self._counts.alerts_queued.set(self.writer.queued)
        self._counts.alerts_dropped.set(self.evaluator.dropped)


def _readings(mirror: Mirror) -> HostReadings:
    resources = mirror.resources
    return HostReadings(engine=mirror.ref, filesystem=resources.filesystem, units=resources.units)


def _fault(mirror: Mirror) -> str:
    """Returns why an engine is not watched; empty if it is. An engine without an event stream is listed instead."""
    return mirror.not_live_reason if time.time() - mirror.last_contact > SILENT_SECONDS else ""
