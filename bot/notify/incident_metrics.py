"""Measures incidents for the metrics page: how many are open, since when, and how long people and engines needed.

It follows the store's log of changes, so it counts what every process and every console does: an acknowledgement at a
console is counted like one in Slack. Each process with this store counts the same changes; a sum over processes would
count them twice. Changes while no process runs are not measured. Times in the log are in microseconds since the epoch
and those of incidents in nanoseconds. The number of series is limited: the names of MAX_TEAMS teams, and MAX_SHOWN open
incidents, the most severe first.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import sys
from collections import Counter
from collections.abc import Sequence

import structlog

from bot.notify.incident_writer import decode_incident
from core import errors, metrics
from core.lazy_dataclass import dataclass
from core.model.alerts import Alert, Severity
from core.model.incidents import Incident, IncidentState
from core.model.refs import EngineRef
from core.store.incidents import IncidentStore

log = structlog.get_logger(__name__)
POLL_SECONDS = 2.0
BATCH = 200  # incidents that are read at once
MAX_TEAMS = 50
MAX_SHOWN = 500
NO_TEAM, OTHER_TEAM = "none", "other"
_ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """What is measured of an open incident. `begin_ns`: of the incident, or of its last reopening."""

    engine: tuple[str, str]
    name: str
    kind: str
    rule: str
    team: str
    severity: Severity
    state: IncidentState
    begin_ns: int


class IncidentMetrics:
    """Follows the incidents of the store while `run` runs."""

    def __init__(self, store: IncidentStore, counts: metrics.Metrics) -> None:
        self._store = store
        self._counts = counts
        self._open: dict[str, OpenIncident] = {}
        self._position = 0
        self._started = False  # whether what had happened before this process began is read
        self._teams: set[str] = set()

    async def run(self) -> None:
        """Measures until it is cancelled."""
        while True:
            try:
                await self.follow()
            except errors.StoreError as error:
                log.debug("The incidents could not be measured.", reason=error.message)
            await asyncio.sleep(POLL_SECONDS)

    async def follow(self) -> None:
        """Reads what changed since the last call. Raises StoreError."""
        changed = False
        while True:
            last, keys = await self._store.incidents_changed_after(self._position, BATCH)
            if last < self._position:  # the store lost its data
                self._open, self._position, changed = {}, 0, True
                continue
            if not keys:
                break
            stored = await self._store.incidents_of(list(keys))
            for key, at_us in keys.items():
                incident = decode_incident(stored[key]) if key in stored else None
                self._observe(key, incident, at_us)
            self._position, changed = max(keys.values()), True
        self._started = True
        if changed:
            self._show()

    def _observe(self, key: str, incident: Incident | None, at_us: int) -> None:
        """Takes one change. `incident`: None if it was removed or cannot be read."""
        before = self._open.pop(key, None)
        if incident is None:
            return
        if incident.state is not IncidentState.RESOLVED:
            after = self._open[key] = self._measured(incident)
            # Prometheus sees no increase in the first value of a series, so both begin at 0.
            self._counts.incident_acknowledge_seconds.labels(after.rule, after.team)
            self._counts.incident_resolve_seconds.labels(after.rule, after.team)
            reopened = before is not None and before.begin_ns != after.begin_ns
            was_free = before is None or reopened or before.state is IncidentState.FIRING
            if self._started and after.state is IncidentState.ACKNOWLEDGED and was_free:
                seconds = at_us / 1e6 - after.begin_ns / 1e9
                self._counts.incident_acknowledge_seconds.labels(after.rule, after.team).observe(max(0.0, seconds))
        elif self._started:
            begin_ns = before.begin_ns if before is not None else _begin_ns(incident, incident.alerts)
            rule, team = _rule(incident.main), self._team(incident.main.team)
            seconds = (incident.changed_ns - begin_ns) / 1e9
            self._counts.incident_resolve_seconds.labels(rule, team).observe(max(0.0, seconds))

    def _measured(self, incident: Incident) -> OpenIncident:
        main = incident.main
        return OpenIncident(
            engine=_engine_labels(main.subject.engine),
            name=metrics.visible(main.subject.name),
            kind=str(main.subject.kind),
            rule=sys.intern(_rule(main)),  # ten thousand incidents have a few rules
            team=self._team(main.team),
            severity=main.severity,
            state=incident.state,
            begin_ns=_begin_ns(incident, incident.firing),
        )

    def _team(self, team: str) -> str:
        """Returns the label of a team. Whoever creates containers names teams, so only the first ones have names."""
        team = metrics.visible(team)
        if team and len(self._teams) < MAX_TEAMS:
            self._teams.add(team)
        return NO_TEAM if not team else sys.intern(team) if team in self._teams else OTHER_TEAM

    def _show(self) -> None:
        counts = self._counts
        counts.incidents_open.clear()
        groups = Counter((one.rule, one.team, str(one.severity), str(one.state)) for one in self._open.values())
        for labels, number in groups.items():
            counts.incidents_open.labels(*labels).set(number)
        counts.incident_begin_timestamp_seconds.clear()
        shown = heapq.nsmallest(
            MAX_SHOWN, self._open.values(), key=lambda one: (_ORDER.index(one.severity), one.begin_ns)
        )
        for one in shown:
            labels = (one.rule, one.team, str(one.severity), str(one.state))
            series = counts.incident_begin_timestamp_seconds.labels(*one.engine, one.kind, one.name, *labels)
            series.set(one.begin_ns / 1e9)
        counts.incident_series_capped.set(len(self._open) - len(shown))


@functools.lru_cache(maxsize=256)
def _engine_labels(engine: EngineRef) -> tuple[str, str]:
    return metrics.engine_labels(engine)


def _rule(alert: Alert) -> str:
    """Returns the rule of an alert, or the system that sent it: the names of its rules are not limited."""
    return alert.source or alert.rule


def _begin_ns(incident: Incident, alerts: Sequence[Alert]) -> int:
    """Returns when the incident began, or when it was reopened: the begin of the first of these alerts."""
    return incident.began_ns if incident.opened == 1 else min(alert.since_ns for alert in alerts)
