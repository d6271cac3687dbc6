"""Replays past events against one alert rule, and collects the messages that it would have caused.

The evaluator, the merging of alerts into incidents and, for raw events of an engine, the search for causes are those of
the running process; only the clock differs. Nothing is reported and nothing is stored. Past lists and inspections are
not stored. So a container that was removed has only the data of its events. It counts as removed by its engine (`--rm`)
if its removal follows its end at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from collectors import unwatched_time
from collectors.alert_evaluator import Evaluator
from collectors.container_end_tracker import EndTracker
from collectors.engine_state_events import DOWN
from collectors.host_state_events import DATA_ROOT, UNIT_STATE
from collectors.restart_count_events import RESTARTS
from collectors.rule import Rule, RuleInput
from core.model.alerts import Alert, AlertState, Finding, Firing
from core.model.containers import Container
from core.model.end_causes import Cause, CauseKind
from core.model.events import HEALING_GAVE_UP, Event, EventKind, Origin
from core.model.incidents import Incident, IncidentState, incident_key, merge_alert
from core.model.log_patterns import ACTION_PREFIX
from core.model.refs import EngineRef, Kind
from core.model.rule_tests import MAX_MESSAGES, ReplayedMessage
from runtimes.inventory.container_end_records import EndRecords
from runtimes.inventory.own_changes import OwnChanges

# Events that no history stores: this process makes them for the alert rules alone.
NOT_STORED = frozenset({DOWN, DATA_ROOT, UNIT_STATE, HEALING_GAVE_UP, RESTARTS, unwatched_time.ACTION})
REMOVED_AT_ONCE_NS = 3 * 1_000_000_000
SETTLE_NS = 500_000_000  # between two looks at ends whose cause is not known yet
_CAUSES = {str(kind): kind for kind in CauseKind}


class RuleReplay:
    """Replays events against one rule. `known`: the containers that exist now, by id. `raw`: the events come from an
    engine as they are, so the causes of ends must be found; otherwise the events of ends have them."""

    def __init__(self, rule: Rule, known: Mapping[str, Container], *, raw: bool = False) -> None:
        self.found = self.events = self.repeated = self.reopened = 0
        self.messages: list[ReplayedMessage] = []
        self._latest: dict[str, int] = {}  # by the key of the incident: the place of its message
        self._incidents: dict[str, Incident] = {}
        self._now = 0
        self._known = known
        self._seen: set[str] = set()
        self._containers: dict[str, Container] = {}
        self._check = rule.check
        self._evaluator = Evaluator([replace(rule, check=self._counted)], self._take, now_ns=lambda: self._now)
        self._ends: EndTracker | None = None
        if raw:
            calls = OwnChanges(lambda: self._now / 1e9)
            self._ends = EndTracker(
                lambda: self._containers,
                self._evaluator.observe_end,
                calls,
                EndRecords(),
                report_early=self._evaluator.observe_end,
                now_ns=lambda: self._now,
            )

    @property
    def asked(self) -> int:
        return self._evaluator.statistics.asked.total()

    @property
    def removed(self) -> int:
        """How many of the containers do not exist any more."""
        return len(self._seen - self._known.keys())

    @property
    def held_back(self) -> int:
        return self._evaluator.statistics.held_back.total()

    @property
    def waiting(self) -> int:
        return len(self._evaluator.waiting)

    def feed(self, events: Sequence[Event]) -> None:
        """Takes events, the oldest first; later calls take later events."""
        removed = _removed_at_once(events)
        for event in events:
            self._advance(max(self._now, event.at_ns))
            self.events += 1
            live = msgspec.structs.replace(event, origin=Origin.LIVE)
            container = self._follow(live, auto_remove=event.subject.id in removed)
            if self._ends is not None:
                self._ends.observe([live])
            elif live.kind is EventKind.DIED and live.subject.kind is Kind.CONTAINER:
                self._evaluator.observe_end(live, _cause(live), container)
            self._evaluator.observe([live], self._containers)
            if live.kind is EventKind.REMOVED:
                self._containers.pop(live.subject.id, None)

    def finish(self, until_ns: int) -> None:
        """Lets the time pass until then."""
        self._advance(until_ns)

    def newest_messages(self) -> Sequence[ReplayedMessage]:
        return self.messages[-MAX_MESSAGES:]

    def _advance(self, until_ns: int) -> None:
        """Lets the time pass, and stops at each moment at which something is due."""
        while True:
            dues = [due] if (due := self._evaluator.next_due_ns) is not None else []
            if self._ends is not None and self._ends.pending:
                dues.append(self._now + SETTLE_NS)
            if not dues or min(dues) > until_ns:
                break
            self._now = max(self._now, min(dues))
            if self._ends is not None:
                self._ends.settle()
            self._evaluator.tick(self._containers_of)
        self._now = max(self._now, until_ns)

    def _containers_of(self, engine: EngineRef) -> Mapping[str, Container]:
        return {key: row for key, row in self._containers.items() if row.ref.engine == engine}

    def _follow(self, event: Event, *, auto_remove: bool) -> Container | None:
        """Updates the state of the event's container, and returns the container as it was at that time."""
        if event.subject.kind is not Kind.CONTAINER:
            return None
        key = event.subject.id
        self._seen.add(key)
        row = self._containers.get(key) or self._known.get(key) or _container(event)
        state = {EventKind.STARTED: "running", EventKind.DIED: "exited", EventKind.CREATED: "created"}.get(event.kind)
        if event.labels:
            row = msgspec.structs.replace(row, labels=event.labels)
        row = msgspec.structs.replace(
            row, ref=event.subject, state=state or row.state, auto_remove=row.auto_remove or auto_remove
        )
        self._containers[key] = row
        return row

    def _counted(self, seen: RuleInput) -> Finding | None:
        finding = self._check(seen)
        self.found += isinstance(finding, Firing)
        return finding

    def _take(self, alert: Alert) -> None:
        """Takes what the running process would store in an incident."""
        key = incident_key(alert)
        before = self._incidents.get(key)
        merged = merge_alert(before, alert)
        if merged is None:
            return
        self._incidents[key] = merged
        if before is None or before.id != merged.id:
            self._latest[key] = len(self.messages)
            self.messages.append(_message(alert))
            return
        if alert.state is AlertState.FIRING:
            self.reopened += before.state is IncidentState.RESOLVED
            self.repeated += before.state is not IncidentState.RESOLVED
        at = self._latest[key]
        over = merged.state is IncidentState.RESOLVED
        self.messages[at] = msgspec.structs.replace(
            self.messages[at],
            until_ns=merged.changed_ns if over else 0,
            text=self.messages[at].text if over else alert.text,
            times=self.messages[at].times + (alert.state is AlertState.FIRING),
        )


def is_stored(rule: Rule) -> bool:
    """Whether the history has the events that this rule is asked about."""
    missing = {action for action in rule.actions if action in NOT_STORED or action.startswith(ACTION_PREFIX)}
    return rule.on != {EventKind.OTHER} or not missing


def _message(alert: Alert) -> ReplayedMessage:
    return ReplayedMessage(
        at_ns=alert.at_ns,
        until_ns=0,
        subject=alert.subject,
        owner=alert.owner,
        severity=alert.severity,
        text=alert.text,
        times=alert.count,
    )


def _cause(died: Event) -> Cause:
    kind = _CAUSES.get(died.attrs.get("cause", ""), CauseKind.UNKNOWN)
    text = died.attrs.get("cause_text", "ended, and its cause was not stored")
    return Cause(kind=kind, text=text, by=died.attrs.get("cause_by", ""))


def _container(event: Event) -> Container:
    return Container(
        ref=event.subject,
        image=event.attrs.get("image", ""),
        image_id="",
        command="",
        state="running",
        status="",
        created_at=event.at_ns / 1e9,
        labels={},
    )


def _removed_at_once(events: Iterable[Event]) -> frozenset[str]:
    """Returns the containers that were removed right after their end."""
    ended: dict[str, int] = {}
    found: set[str] = set()
    for event in events:
        if event.kind is EventKind.DIED:
            ended[event.subject.id] = event.at_ns
        elif event.kind is EventKind.REMOVED and event.at_ns - ended.get(event.subject.id, 0) <= REMOVED_AT_ONCE_NS:
            found.add(event.subject.id)
    return frozenset(found)
