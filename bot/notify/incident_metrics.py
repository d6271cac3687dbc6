"""Exports metrics of incidents: the open incidents, their start time, the time to acknowledge and the time to resolve.

The module reads the change log of the store, so changes by every process are counted. Every process exports the same
numbers: do not sum them over processes. Changes made while no process runs are not measured. Times in the log are in
microseconds since the epoch, those of incidents in nanoseconds. The number of series is limited: MAX_TEAMS team names,
and MAX_SHOWN open incidents, the most severe first.
"""

from __future__ import annotations

import functools
import heapq
from collections import Counter
from collections.abc import Sequence

import msgspec
import structlog

from bot.notify.incident_writer import decode_incident
from core import errors, metrics, shared_ticks
from core.lazy_dataclass import dataclass
from core.model.alerts import Alert, Severity
from core.model.incidents import Incident, IncidentState
from core.model.refs import EngineRef, Ref
from core.store.incidents import IncidentStore

log = structlog.get_logger(__name__)
POLL_SECONDS = 5.0
BATCH = 200  # incidents that are read at once
MAX_TEAMS = 50
MAX_SHOWN = 500
NO_TEAM, OTHER_TEAM = "none", "other"
_ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentLabels:
    """The labels by which open incidents are counted. Thousands of incidents may share the same ones."""

    rule: str
    team: str
    severity: Severity
    state: IncidentState

    @property
    def labels(self) -> tuple[str, str, str, str]:
        return self.rule, self.team, str(self.severity), str(self.state)


class OpenIncident(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of an open incident. `begin_ns`: of the incident, or of its last reopening."""

    group: IncidentLabels
    begin_ns: int


class IncidentMetrics:
    """Follows the incidents of the store while `run` runs."""

    def __init__(self, store: IncidentStore, counts: metrics.Metrics) -> None:
        self._store = store
        self._counts = counts
        self._open: dict[str, OpenIncident] = {}
        self._groups: dict[IncidentLabels, IncidentLabels] = {}
        self._numbers = Counter[IncidentLabels]()
        self._subjects: dict[str, tuple[str, ...]] = {}  # the labels of the subject of each incident that is shown
        self._position = 0
        self._started = False  # whether what had happened before this process began is read
        self._last_rank = (0, 0)  # of those that are shown
        self._select = False  # whether others may have to be shown
        self._shown = True  # whether the page shows what was read
        self._teams: set[str] = set()

    async def run(self) -> None:
        """Measures until it is cancelled."""
        while True:
            try:
                await self.follow()
            except errors.StoreError as error:
                log.debug("The metrics of incidents could not be updated.", reason=error.message)
            await shared_ticks.sleep_to_tick(POLL_SECONDS)

    async def follow(self) -> None:
        """Reads what changed since the last call. Raises StoreError."""
        while True:
            last, keys = await self._store.incidents_changed_after(self._position, BATCH)
            if last < self._position:  # the store lost its data
                self._open, self._subjects, self._position = {}, {}, 0
                self._numbers.clear()
                self._select, self._shown = True, False
                continue
            if not keys:
                break
            stored = await self._store.incidents_of(list(keys))
            for key, at_us in keys.items():
                incident = decode_incident(stored[key]) if key in stored else None
                self._observe(key, incident, at_us)
            self._position, self._shown = max(keys.values()), False
        self._started = True
        if not self._shown:
            await self._show()
            self._shown = True

    def _observe(self, key: str, incident: Incident | None, at_us: int) -> None:
        """Takes one change. `incident`: None if it was removed or cannot be read."""
        before = self._open.pop(key, None)
        if before is not None:
            self._numbers[before.group] -= 1
        if self._subjects.pop(key, None) is not None:
            self._select = True
        if incident is None:
            return
        if incident.state is not IncidentState.RESOLVED:
            after = self._open[key] = self._measured(incident)
            group = after.group
            self._numbers[group] += 1
            if len(self._subjects) < MAX_SHOWN or _rank(after) < self._last_rank:
                self._select = True
            # Prometheus sees no increase in the first value of a series, so both begin at 0.
            self._counts.incident_acknowledge_seconds.labels(group.rule, group.team)
            self._counts.incident_resolve_seconds.labels(group.rule, group.team)
            reopened = before is not None and before.begin_ns != after.begin_ns
            was_free = before is None or reopened or before.group.state is IncidentState.FIRING
            if self._started and group.state is IncidentState.ACKNOWLEDGED and was_free:
                seconds = at_us / 1e6 - after.begin_ns / 1e9
                self._counts.incident_acknowledge_seconds.labels(group.rule, group.team).observe(max(0.0, seconds))
        elif self._started:
            begin_ns = before.begin_ns if before is not None else _begin_ns(incident, incident.alerts)
            rule, team = _rule(incident.main), self._team(incident.main.team)
            seconds = (incident.changed_ns - begin_ns) / 1e9
            self._counts.incident_resolve_seconds.labels(rule, team).observe(max(0.0, seconds))

    def _measured(self, incident: Incident) -> OpenIncident:
        main = incident.main
        group = IncidentLabels(
            rule=_rule(main), team=self._team(main.team), severity=main.severity, state=incident.state
        )
        return OpenIncident(self._groups.setdefault(group, group), _begin_ns(incident, incident.firing))

    def _team(self, team: str) -> str:
        """Returns the label of a team. Whoever creates containers names teams, so only the first ones have names."""
        team = metrics.visible(team)
        if team and len(self._teams) < MAX_TEAMS:
            self._teams.add(team)
        return NO_TEAM if not team else team if team in self._teams else OTHER_TEAM

    async def _show(self) -> None:
        if self._select:
            await self._show_first()
            self._select = False
        counts = self._counts
        self._numbers = +self._numbers
        self._groups = {group: group for group in self._numbers}
        counts.incidents_open.clear()
        for group, number in self._numbers.items():
            counts.incidents_open.labels(*group.labels).set(number)
        counts.incident_series_capped.set(max(0, len(self._open) - MAX_SHOWN))

    async def _show_first(self) -> None:
        """Selects the incidents that the page names. Raises StoreError."""
        shown = heapq.nsmallest(MAX_SHOWN, self._open, key=lambda key: _rank(self._open[key]))
        subjects = await self._subjects_of(shown)
        self._last_rank = _rank(self._open[shown[-1]]) if shown else (0, 0)
        begins = self._counts.incident_begin_timestamp_seconds
        begins.clear()
        for key, subject in subjects.items():
            one = self._open[key]
            begins.labels(*subject, *one.group.labels).set(one.begin_ns / 1e9)

    async def _subjects_of(self, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Returns the labels of the subjects of these incidents, and forgets all others. Raises StoreError."""
        unknown = [key for key in keys if key not in self._subjects]
        for start in range(0, len(unknown), BATCH):
            for key, raw in (await self._store.incidents_of(unknown[start : start + BATCH])).items():
                if (incident := decode_incident(raw)) is not None:
                    self._subjects[key] = _subject_labels(incident.main.subject)
        self._subjects = {key: self._subjects[key] for key in keys if key in self._subjects}
        return self._subjects


def _rank(one: OpenIncident) -> tuple[int, int]:
    """Orders open incidents by how much they are worth showing."""
    return _ORDER.index(one.group.severity), one.begin_ns


def _subject_labels(subject: Ref) -> tuple[str, ...]:
    return (*_engine_labels(subject.engine), str(subject.kind), metrics.visible(subject.name))


@functools.lru_cache(maxsize=256)
def _engine_labels(engine: EngineRef) -> tuple[str, str]:
    return metrics.engine_labels(engine)


def _rule(alert: Alert) -> str:
    """Returns the rule of an alert, or the system that sent it: the names of its rules are not limited."""
    return alert.source or alert.rule


def _begin_ns(incident: Incident, alerts: Sequence[Alert]) -> int:
    """Returns when the incident began, or when it was reopened: the begin of the first of these alerts."""
    return incident.began_ns if incident.opened == 1 else min(alert.since_ns for alert in alerts)
