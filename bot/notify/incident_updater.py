"""Takes alerts from the evaluator and stores each one in its incident.

The evaluator must never wait, so alerts wait here in a queue. For each fingerprint, the queue has only the newest
firing and the newest resolved alert, because an incident shows only these two. If the store does not answer, the alerts
stay in the queue. Another process may change the same incident at the same time; then the incident is read and merged
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from core import errors, metrics
from core.model.alerts import Alert, AlertState, Severity
from core.model.incidents import Incident, incident_key, merge_alert
from core.repeated_log import RepeatedLog
from core.store.incidents import IncidentStore

log = structlog.get_logger(__name__)
RETRY_SECONDS = 1.0
MAX_CONFLICTS = 20  # a change that lost so often is queued again
CONFLICT = "The incident is changed by several processes at once."
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Incident).decode


class IncidentUpdater:
    """Queues alerts, and stores them while `run` runs. `changed` is called after an incident was stored."""

    def __init__(self, store: IncidentStore, counts: metrics.Metrics, changed: Callable[[], None]) -> None:
        self._store = store
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
        self._queued[alert.fingerprint, alert.state] = alert
        self._arrived.set()

    async def run(self) -> None:
        """Stores alerts until it is cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._store_all()
            except errors.StoreError as error:
                if times := self._repeated.due(error.message):
                    log.warning("alerts wait for the store", reason=error.message, waiting=self.queued, times=times)
                await asyncio.sleep(RETRY_SECONDS)
                self._arrived.set()
            else:
                if self._repeated.ended():
                    log.info("the waiting alerts were stored")

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
        raise errors.StoreError(CONFLICT, hint="It is tried again.")


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
            raise errors.NotFound("This incident is not stored any more.", hint="List the incidents with: incidents")
        changed = change(incident)
        if await store.change_incident(key, before, _encode(changed)):
            return changed
    raise errors.StoreError(CONFLICT, hint="Try again.")


async def stored_incidents(store: IncidentStore) -> Sequence[Incident]:
    """Returns the incidents of the store, the newest change first. Raises StoreError."""
    found = [decode_incident(value) for value in (await store.incidents()).values()]
    return sorted((each for each in found if each is not None), key=lambda each: -each.changed_ns)


def decode_incident(value: bytes) -> Incident | None:
    """Decodes a stored incident; None for one that another version wrote and this one cannot read."""
    try:
        return _decode(value)
    except (msgspec.DecodeError, ValueError):
        log.warning("a stored incident could not be read; it is replaced", action="incident")
        return None
