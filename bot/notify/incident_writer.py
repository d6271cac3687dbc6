"""Receives alerts from the evaluator and stores each one in its incident.

The evaluator must never wait, so alerts wait here in a queue. For each fingerprint, the queue has only the newest
firing and the newest resolved alert, because an incident shows only these two. If the store does not answer, the alerts
stay in the queue, and a file has a copy (`bot.notify.unstored_alerts`). If the queue is full, alerts that are not of
high severity are dropped first. If another process changes the same incident at the same time, the incident is read and
merged again.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import structlog

from bot.notify.unstored_alerts import UnstoredAlertsFile
from core import errors, metrics, supervise
from core.model.alerts import Alert, AlertState, Severity
from core.model.incidents import Incident, incident_key, merge_alert
from core.repeated_log import RepeatedLog
from core.store.incidents import IncidentStore

log = structlog.get_logger(__name__)
RETRY_SECONDS = 1.0
MAX_QUEUED = 20_000
AT_ONCE = 8  # calls to the store
SPOOL_SHARE = 20  # the file is written in at most one of so many parts of the time
MAX_CONFLICTS = 20  # a change that lost so often is queued again
_ORDER = tuple(Severity)
CONFLICT = "The incident was not changed, because several processes tried to change it at the same time."
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Incident).decode


class IncidentWriter:
    """Queues alerts, and stores them while `run` runs. `changed` is called after an incident was stored. `spool`: the
    file for the queue while the store does not answer; None for none."""

    def __init__(
        self,
        store: IncidentStore,
        counts: metrics.Metrics,
        changed: Callable[[], None],
        spool: UnstoredAlertsFile | None = None,
    ) -> None:
        self._store = store
        self._spool = spool
        self._saved: list[Alert] = []
        self._save_at = 0.0
        self.drained = asyncio.Event()
        """Set once everything that earlier processes left is stored."""
        self._counts = counts
        self._changed = changed
        self._queued: dict[tuple[str, AlertState], Alert] = {}
        self._arrived = asyncio.Event()
        self._repeated = RepeatedLog()

    @property
    def queued(self) -> int:
        """How many alerts wait for the store."""
        return len(self._queued)

    def report(self, alert: Alert) -> None:
        """Takes one change of an alert. Never waits."""
        self._counts.alerts_total.labels(alert.rule, str(alert.state)).inc()
        # A firing that is resolved before it was stored is stored as both, so that people see that it happened.
        key = (alert.fingerprint, alert.state)
        if key in self._queued or self._make_room(alert):
            self._queued[key] = alert
            self._arrived.set()

    async def store_now(self, alerts: Sequence[Alert]) -> None:
        """Stores alerts of another source at once. Raises StoreError; some of them may be stored then."""

        async def one(alert: Alert) -> None:
            if await self._store_one(alert):
                self._counts.alerts_total.labels(alert.source, str(alert.state)).inc()
                self._changed()

        for start in range(0, len(alerts), AT_ONCE):
            results = await asyncio.gather(*map(one, alerts[start : start + AT_ONCE]), return_exceptions=True)
            for failed in filter(None, results):
                raise failed

    def _make_room(self, alert: Alert) -> bool:
        """Drops an alert if the queue is full. Returns whether there is room for the new one."""
        if len(self._queued) < MAX_QUEUED:
            return True
        self._counts.alerts_lost_total.labels("queue_full").inc()
        others = (key for key, one in self._queued.items() if one.severity is not Severity.HIGH)
        if alert.severity is not Severity.HIGH or (dropped := next(others, None)) is None:
            return False
        del self._queued[dropped]
        return True

    async def run(self) -> None:
        """Stores alerts until it is cancelled."""
        await self._take_spooled()
        try:
            await self._run()
        finally:
            await self._save()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._store_all()
            except errors.StoreError as error:
                if times := self._repeated.due(error.message):
                    log.warning(
                        "Alerts could not be stored yet.", reason=error.message, waiting=self.queued, times=times
                    )
                if time.monotonic() >= self._save_at:
                    await self._save()
                await asyncio.sleep(RETRY_SECONDS)
                self._arrived.set()
            else:
                self.drained.set()
                if self._repeated.ended():
                    log.info("The waiting alerts were stored.")
                if self._spool is not None and not self._queued:
                    await self._spool.clear()
                    self._saved = []
                    self._counts.alerts_spooled.set(self._spool.saved)

    async def _take_spooled(self) -> None:
        """Queues what earlier processes could not store."""
        spooled = await self._spool.load() if self._spool is not None else ()
        for alert in spooled:
            queued = self._queued.get((alert.fingerprint, alert.state))
            if queued is None or (queued.at_ns, queued.count) < (alert.at_ns, alert.count):
                self._queued[alert.fingerprint, alert.state] = alert
        if spooled:
            log.info(
                "Alerts that an earlier process could not store were read from its spool file.",
                action="spool",
                alerts=len(spooled),
            )
        self._arrived.set()

    async def _save(self) -> None:
        """Saves the queue in the file, if it has changed. The most severe alerts come first."""
        waiting = sorted(self._queued.values(), key=lambda one: (_ORDER.index(one.severity), one.at_ns))
        if self._spool is None or not waiting or waiting == self._saved:
            return
        began = time.monotonic()
        if await self._spool.save(waiting):
            self._saved = waiting
            self._counts.alerts_spooled.set(self._spool.saved)
        self._save_at = time.monotonic() + SPOOL_SHARE * (time.monotonic() - began)

    async def _store_all(self) -> None:
        for key, alert in sorted(self._queued.items(), key=lambda item: item[1].at_ns):
            if await self._store_one(alert):
                self._changed()
            # A newer report may have replaced it meanwhile; that one is stored in the next turn.
            if self._queued.get(key) is alert:
                del self._queued[key]

    async def _store_one(self, alert: Alert) -> bool:
        """Merges one alert into its incident. Returns whether the incident changed."""
        key = incident_key(alert)
        for _ in range(MAX_CONFLICTS):
            before = await self._store.incident(key)
            merged = merge_alert(None if before is None else decode_incident(before), alert)
            if merged is None:
                return False
            if await self._store.change_incident(key, before, _encode(merged)):
                _log(merged, alert)
                return True
        self._arrived.set()
        raise errors.StoreError(CONFLICT, hint="Quarterdeck tries again in some seconds.")


def _log(incident: Incident, alert: Alert) -> None:
    """Logs the begin and the end of an alert; at a console without a chat, these lines are all that people see."""
    resolved = alert.state is AlertState.RESOLVED
    if alert.count > 1 and not resolved:
        return
    say = log.info if resolved or alert.severity is Severity.LOW else log.warning
    say(
        "An alert is resolved." if resolved else "An alert fires.",
        subject=str(alert.subject),
        reason=alert.text,
        severity=str(alert.severity),
        incident=incident.id,
    )


async def change_incident(store: IncidentStore, key: str, change: Callable[[Incident], Incident]) -> Incident:
    """Changes a stored incident, and returns it as it is then. Raises NotFound, StoreError."""
    for _ in range(MAX_CONFLICTS):
        before = await store.incident(key)
        incident = None if before is None else decode_incident(before)
        if incident is None:
            hint = "List the incidents with: incidents"
            raise errors.NotFound(f"The incident {key[:6]} was removed from the store.", hint=hint)
        changed = change(incident)
        if await store.change_incident(key, before, _encode(changed)):
            return changed
    raise errors.StoreError(CONFLICT, hint="Give the command again.")


async def each_incident(store: IncidentStore) -> AsyncIterator[Incident]:
    """Yields the incidents of the store in any order, without holding them all in memory. Raises StoreError."""
    async for _, value in supervise.in_turns(store.each_incident()):
        if (incident := decode_incident(value)) is not None:
            yield incident


async def stored_incidents(
    store: IncidentStore, wanted: Callable[[Incident], bool] = lambda incident: True
) -> Sequence[Incident]:
    """Returns those incidents of the store that are wanted, the newest change first. Raises StoreError."""
    found = [incident async for incident in each_incident(store) if wanted(incident)]
    return sorted(found, key=lambda each: -each.changed_ns)


async def newest_incidents(
    store: IncidentStore, limit: int, wanted: Callable[[Incident], bool]
) -> tuple[tuple[Incident, ...], int]:
    """Returns at most `limit` of the wanted incidents, the newest change first, and how many are wanted. Raises
    StoreError."""
    newest: list[Incident] = []
    found = 0
    async for incident in each_incident(store):
        if wanted(incident):
            found += 1
            newest.append(incident)
        if len(newest) >= 2 * limit + 1:
            newest = heapq.nsmallest(limit, newest, key=lambda each: -each.changed_ns)
    return tuple(heapq.nsmallest(limit, newest, key=lambda each: -each.changed_ns)), found


def decode_incident(value: bytes) -> Incident | None:
    """Decodes a stored incident; None for one that another version wrote and this one cannot read."""
    try:
        return _decode(value)
    except (msgspec.DecodeError, ValueError):
        log.warning("A stored incident could not be decoded. A new one replaces it.", action="incident")
        return None
