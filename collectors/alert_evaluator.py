"""Evaluates the alert rules: passes each event to the rules, waits, counts, and reports alerts.

An alert begins with a Firing. If the rule has a `hold`, the alert waits that long, and a Cleared in this time cancels
it. It ends with a Cleared, or after the rule's `settle` without a Firing. It then does not fire again for the rule's
`cooldown`. The beginning of an alert, each repetition and its end are reported once. Alerts from replayed events, after
the stream was interrupted, are marked as late.

A bug in one rule is logged, and the other rules continue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from collectors import quarterdeck_labels
from collectors.alert_owner import alert_fingerprint, owner_of_event, running_by_owner
from collectors.recent_events_by_owner import NO_LABELS, OwnerKey, RecentEventsByOwner, is_for
from collectors.renamed_containers import OwnersBeforeRename
from collectors.rule import TEST_RULE, Rule, RuleInput, SeenEvent
from collectors.rule_statistics import RuleStatistics
from collectors.running_rollouts import RunningRollouts
from core import unexpected_errors
from core.model.alerts import Alert, AlertState, Cleared, Finding
from core.model.containers import SWARM_SERVICE_LABEL, Container
from core.model.end_causes import Cause
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

SECOND = 1_000_000_000
MAX_OPEN = 10_000  # alerts that wait or fire; more are counted and not reported
# The end of an old trouble follows in the same replay; until then, an alert about it waits.
REPLAY_NS = 5 * SECOND
LATE_NS = 60 * SECOND  # a replayed event that is younger is not late
STOPPED_NS = 30 * SECOND  # between two looks at the containers that crashed and do not run, all at the same time

Containers = Mapping[str, Container]


class _Open(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An alert that waits or fires. `due_ns`: our time at which it fires, if it still waits. `settles_ns`: our time at
    which it resolves by itself; 0 if it does not."""

    rule: Rule
    key: OwnerKey
    alert: Alert
    due_ns: int = 0
    settles_ns: int = 0


class Evaluator:
    """Evaluates rules for all engines of this process. `report` receives each change of an alert. `is_own`: whether a
    container is Quarterdeck's own, about which nothing is reported. `now_ns`: our clock."""

    def __init__(
        self,
        rules: Sequence[Rule],
        report: Callable[[Alert], None],
        *,
        is_own: Callable[[str], bool] = lambda container_id: False,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.rules = tuple(rules)
        self.dropped = 0
        self.statistics = RuleStatistics()
        self._report = report
        self._is_own = is_own
        self._now_ns = now_ns
        self._windows = RecentEventsByOwner()
        self._rollouts = RunningRollouts()
        self._renamed = OwnersBeforeRename()
        self._open: dict[str, _Open] = {}
        self._quiet_until: dict[str, int] = {}  # our time until which an alert that ended does not fire again
        self._by_kind = {kind: [rule for rule in rules if kind in rule.on] for kind in EventKind}
        self._actions = frozenset(action for rule in rules for action in rule.actions)
        self._bugs = unexpected_errors.BugReporter()

    @property
    def firing(self) -> Sequence[Alert]:
        """Returns the alerts that fire now, the oldest first."""
        return [one.alert for one in self._open.values() if not one.due_ns]

    @property
    def waiting(self) -> Sequence[Alert]:
        """Returns the alerts whose trouble has not lasted long enough yet."""
        return [one.alert for one in self._open.values() if one.due_ns]

    @property
    def next_due_ns(self) -> int | None:
        """Returns our time at which `tick` has something to do next; None if it waits for nothing."""
        return min((at for one in self._open.values() if (at := one.due_ns or one.settles_ns)), default=None)

    def open_alert(self, fingerprint: str) -> Alert | None:
        """Returns this alert if it fires now."""
        one = self._open.get(fingerprint)
        return None if one is None or one.due_ns else one.alert

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Goes on with alerts that fired when Quarterdeck was stopped. One whose trouble was found again meanwhile
        fires at once, whatever it waits for. An alert of a rule that does not run any more is resolved."""
        by_name, now = {rule.name: rule for rule in (*self.rules, TEST_RULE)}, self._now_ns()
        for alert in alerts:
            rule, known = by_name.get(alert.rule), self._open.get(alert.fingerprint)
            if rule is None:
                over = msgspec.structs.replace(alert, state=AlertState.RESOLVED, text="its rule does not run any more")
                self._report(msgspec.structs.replace(over, at_ns=max(now, alert.at_ns)))
            elif known is None and len(self._open) < MAX_OPEN:
                key = (alert.subject.engine, alert.subject.kind, alert.owner)
                settles = self._settles(rule, now)
                self._open[alert.fingerprint] = _Open(rule=rule, key=key, alert=alert, settles_ns=settles)
            elif known is not None and (known.due_ns or known.alert.since_ns > alert.at_ns):
                goes_on = msgspec.structs.replace(
                    known.alert,
                    since_ns=alert.since_ns,
                    at_ns=max(alert.at_ns, known.alert.at_ns),
                    count=alert.count + known.alert.count,
                )
                settles = self._settles(rule, now)
                self._open[alert.fingerprint] = msgspec.structs.replace(
                    known, alert=goes_on, due_ns=0, settles_ns=settles
                )
                self._report(goes_on)

    def ask_again(self, fingerprint: str, present: Event) -> None:
        """Asks the rule of an alert about the present state of its subject, and ends the alert if that is good."""
        if (one := self._open.get(fingerprint)) is None:
            return
        events, threshold = [SeenEvent(event=present)], one.rule.threshold or 0.0
        finding = self._ask(one.rule, RuleInput(events=events, labels=one.alert.labels, threshold=threshold))
        if isinstance(finding, Cleared):
            self._resolve(fingerprint, finding.text, present.at_ns)

    def end_alerts_of(self, engine: EngineRef, text: str) -> None:
        """Ends all alerts about this engine and what is on it."""
        for fingerprint in [each for each, one in self._open.items() if one.key[0] == engine]:
            self._resolve(fingerprint, text, self._now_ns())

    def fire_test(self, engine: EngineRef, text: str) -> None:
        """Fires a test alert about Quarterdeck itself. It resolves after a minute."""
        now = self._now_ns()
        subject = Ref(engine=engine, kind=Kind.BOT, id="quarterdeck", name="quarterdeck")
        event = Event(now, EventKind.OTHER, subject, Origin.LIVE, "bot", "test", {})
        self._fire(TEST_RULE, (engine, Kind.BOT, "quarterdeck"), text, RuleInput(events=[SeenEvent(event=event)]))

    def observe(self, events: Iterable[Event], containers: Containers) -> None:
        """Takes events in the engine's order. The ends of containers come to `observe_end`, with their causes."""
        other, died, container = EventKind.OTHER, EventKind.DIED, Kind.CONTAINER
        for event in events:
            kind = event.kind
            if event.labels:
                self._windows.labels(event.subject.id, event.labels)
            if event.type == "service":
                self._rollouts.observe(event)
            elif kind is EventKind.RENAMED:
                open_keys = (one.key for one in self._open.values())
                self._renamed.observe(event, containers.get(event.subject.id), open_keys)
            if kind is other and event.action not in self._actions:
                continue
            if not self._by_kind[kind] or (kind is died and event.subject.kind is container):
                continue
            self._observe(SeenEvent(event=event), containers.get(event.subject.id))

    def observe_end(self, died: Event, cause: Cause, container: Container | None) -> None:
        """Takes the end of a container with its cause."""
        self._observe(SeenEvent(event=died, cause=cause), container)

    def tick(self, containers: Callable[[EngineRef], Containers | None]) -> None:
        """Fires what has waited long enough, and resolves what has been quiet long enough. Call it every second.
        `containers`: those of an engine; None if they are not known now, so that silence proves nothing."""
        now = self._now_ns()
        if self._quiet_until:
            self._quiet_until = {each: until for each, until in self._quiet_until.items() if until > now}
        states: dict[EngineRef, Mapping[str, bool] | None] = {}
        for fingerprint, one in tuple(self._open.items()):
            if one.due_ns and now >= one.due_ns:
                self._open[fingerprint] = msgspec.structs.replace(
                    one, due_ns=0, settles_ns=self._settles(one.rule, now)
                )
                self._begin(one.alert)
            elif one.settles_ns and now >= one.settles_ns:
                engine, _, owner = one.key
                if one.rule.until_running and engine not in states:
                    known = containers(engine)
                    states[engine] = None if known is None else running_by_owner(known, self._renamed.owner_of)
                state = states.get(engine)
                runs = state.get(owner) if one.rule.until_running and state is not None else True
                if runs is False or (one.rule.until_running and state is None):
                    next_look = (now // STOPPED_NS + 1) * STOPPED_NS
                    self._open[fingerprint] = msgspec.structs.replace(one, settles_ns=next_look)
                else:
                    self._resolve(fingerprint, "it no longer exists" if runs is None else "no trouble since", now)

    def _observe(self, seen: SeenEvent, container: Container | None) -> None:
        event = seen.event
        labels = self._windows.labels(event.subject.id, container.labels if container is not None else None)
        if self._is_own(event.subject.id) or quarterdeck_labels.are_alerts_off(labels):
            return
        owner = self._renamed.owner_of(event.subject.id) or owner_of_event(event, labels)
        key = (event.subject.engine, event.subject.kind, owner)
        if not self._windows.add(key, seen) or self._is_part_of_rollout(event, labels):
            return
        for rule in self._by_kind[event.kind]:
            if not is_for(rule, event.kind, event.action):
                continue
            visible = RuleInput(
                events=self._windows.seen_by(rule, key),
                labels=labels,
                container=container,
                threshold=rule.threshold or 0.0,
            )
            self.statistics.asked[rule.name] += 1
            finding = self._ask(rule, visible)
            if isinstance(finding, Cleared):
                self._resolve(alert_fingerprint(rule, key), finding.text, event.at_ns)
            elif finding is not None:
                self._fire(rule, key, finding.text, visible)

    def _is_part_of_rollout(self, event: Event, labels: Mapping[str, str]) -> bool:
        """Whether a container of a Swarm service ended while that was updated. If the update fails, the rule
        `update-stopped` reports it."""
        service = labels.get(SWARM_SERVICE_LABEL)
        return event.kind is EventKind.DIED and bool(service) and self._rollouts.includes(service or "", event.at_ns)

    def _ask(self, rule: Rule, seen: RuleInput) -> Finding | None:
        try:
            return rule.check(seen)
        except Exception as error:  # a bug in one rule must not silence the others
            self._bugs.report(error, f"ask the alert rule {rule.name}")
            return None

    def _fire(self, rule: Rule, key: OwnerKey, text: str, seen: RuleInput) -> None:
        fingerprint, event, now = alert_fingerprint(rule, key), seen.last, self._now_ns()
        labels = seen.labels if isinstance(seen.labels, dict) else dict(seen.labels)  # shared: there may be many
        known = self._open.get(fingerprint)
        if known is not None and event.at_ns <= known.alert.at_ns:
            return  # it was counted before a restart, and the engine sent it again
        if known is not None:
            alert = msgspec.structs.replace(
                known.alert,
                subject=event.subject,
                at_ns=event.at_ns,
                text=text,
                cause=seen.cause,
                count=known.alert.count + 1,
                late=_is_late(event, now),
                labels=labels or known.alert.labels,
                labels_known=known.alert.labels_known or seen.labels is not NO_LABELS,
            )
            self._open[fingerprint] = msgspec.structs.replace(known, alert=alert, settles_ns=self._settles(rule, now))
            if not known.due_ns:
                self._report(alert)
            return
        if len(self._open) >= MAX_OPEN:
            self.dropped += 1
            return
        quiet_until = self._quiet_until.get(fingerprint, 0)
        if quiet_until > now and rule.settle is not None:
            self.statistics.held_back[rule.name] += 1
            return
        alert = Alert(
            fingerprint=fingerprint,
            rule=rule.name,
            topic=rule.topic,
            severity=quarterdeck_labels.severity(seen.labels, rule.severity),
            state=AlertState.FIRING,
            subject=event.subject,
            owner=key[2],
            since_ns=event.at_ns,
            at_ns=event.at_ns,
            text=text,
            cause=seen.cause,
            late=_is_late(event, now),
            labels=labels,
            labels_known=seen.labels is not NO_LABELS,
            team=quarterdeck_labels.team(seen.labels),
            channel=quarterdeck_labels.channel(seen.labels),
        )
        due = event.at_ns + int(rule.hold.total_seconds() * SECOND) if rule.hold else 0
        if due and event.origin is not Origin.LIVE:
            due = max(due, now + REPLAY_NS)
        if quiet_until > now:  # only a Cleared ends this trouble, so it is reported when the time is over
            due = max(due, quiet_until)
        waits = due > now
        self._open[fingerprint] = _Open(
            rule=rule,
            key=key,
            alert=alert,
            due_ns=due if waits else 0,
            settles_ns=0 if waits else self._settles(rule, now),
        )
        if not waits:
            self._begin(alert)

    def _begin(self, alert: Alert) -> None:
        self.statistics.fired[alert.rule] += 1
        self.statistics.last_ns[alert.rule] = alert.at_ns
        self._report(alert)

    def _resolve(self, fingerprint: str, text: str, at_ns: int) -> None:
        known = self._open.pop(fingerprint, None)
        if known is None:
            return
        self._renamed.alert_ended(known.key, (one.key for one in self._open.values()))
        if known.due_ns:
            self.statistics.held_back[known.rule.name] += known.alert.count
        else:
            if known.rule.cooldown and len(self._quiet_until) < MAX_OPEN:
                self._quiet_until[fingerprint] = self._now_ns() + int(known.rule.cooldown.total_seconds() * SECOND)
            at = max(at_ns, known.alert.at_ns)
            self._report(msgspec.structs.replace(known.alert, state=AlertState.RESOLVED, text=text, at_ns=at))

    @staticmethod
    def _settles(rule: Rule, now: int) -> int:
        return now + int(rule.settle.total_seconds() * SECOND) if rule.settle is not None else 0


def _is_late(event: Event, now: int) -> bool:
    return event.origin is not Origin.LIVE and now - event.at_ns > LATE_NS
