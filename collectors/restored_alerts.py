"""Continues the alerts that fired when Quarterdeck was stopped, and ends those whose condition is over by now.

An alert waits here until its engine is watched. Until then its state is unknown to this process, and another process
may watch that engine. The condition may have ended while nobody watched, or before the store could be read. So some
rules are evaluated once more, on the present state of their subject: the rules of alerts that end only with a Cleared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping

from collectors.alert_evaluator import Evaluator
from collectors.engine_state_events import UP
from collectors.host_state_events import DATA_ROOT, REMOVED, UNIT_STATE, full_percent
from collectors.rule import Rule
from core.model.alerts import Alert
from core.model.bot_actions import BOT
from core.model.containers import LIVE_STATES
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.inventory.mirror import Mirror

_Found = tuple[EventKind, str, dict[str, str]]
_REMOVED: _Found = (EventKind.REMOVED, "", {})
_NO_NEWS: _Found = (EventKind.OTHER, "", {})


class RestoredAlerts:
    """Holds the alerts whose engine is not watched yet, and the fingerprints of those whose subject is not known yet.
    `now_ns`: our clock."""

    def __init__(self, evaluator: Evaluator, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._evaluator = evaluator
        self._now_ns = now_ns
        self._rules = {rule.name: rule for rule in evaluator.rules if rule.settle is None}
        self._waiting: list[Alert] = []
        self._unchecked: set[str] = set()

    def add(self, alerts: Iterable[Alert]) -> None:
        """Takes the alerts that the store has."""
        self._waiting += alerts

    def compare(self, watched: Collection[EngineRef], answering: Mapping[EngineRef, Mirror]) -> bool:
        """Takes the engines that are watched now, and those of them that answer. Returns whether the evaluator got
        alerts."""
        known = {BOT, *watched}
        if here := [alert for alert in self._waiting if alert.subject.engine in known]:
            self._waiting = [alert for alert in self._waiting if alert.subject.engine not in known]
            self._evaluator.restore(here)
            self._unchecked |= {alert.fingerprint for alert in here if alert.rule in self._rules}
        for fingerprint in tuple(self._unchecked):
            alert = self._evaluator.open_alert(fingerprint)
            mirror = answering.get(alert.subject.engine) if alert is not None else None
            if alert is not None and mirror is None:
                continue
            event = self._present(alert, mirror) if alert is not None and mirror is not None else None
            if event is not None:
                self._evaluator.ask_again(fingerprint, event)
            if alert is None or event is not None:
                self._unchecked.discard(fingerprint)
        return bool(here)

    def engines(self) -> frozenset[EngineRef]:
        """Returns the engines that any alert is about, also of those that wait here."""
        alerts = (*self._waiting, *self._evaluator.firing)
        return frozenset(alert.subject.engine for alert in alerts) - {BOT}

    def end_alerts_of(self, engine: EngineRef) -> None:
        """Ends all alerts about an engine that nobody watches any more."""
        self._evaluator.restore(alert for alert in self._waiting if alert.subject.engine == engine)
        self._waiting = [alert for alert in self._waiting if alert.subject.engine != engine]
        self._evaluator.end_alerts_of(engine, "Quarterdeck does not watch the engine now")

    def _present(self, alert: Alert, mirror: Mirror) -> Event | None:
        """Returns the present state of an alert's subject, as the event that its rule reads; None if it is not known
        yet."""
        subject = alert.subject
        found = _state(alert, self._rules[alert.rule], mirror)
        if found is None:
            return None
        kind, action, attrs = found
        return Event(self._now_ns(), kind, subject, Origin.RESYNC, str(subject.kind), action or str(kind), attrs)


def _state(alert: Alert, rule: Rule, mirror: Mirror) -> _Found | None:
    match alert.subject.kind:
        case Kind.ENGINE if DATA_ROOT in rule.actions:
            percent = full_percent(mirror.resources.filesystem)
            return None if percent is None else (EventKind.OTHER, DATA_ROOT, {"percent": str(percent)})
        case Kind.ENGINE:
            return (EventKind.OTHER, UP, {})
        case Kind.CONTAINER:
            return _container(alert, rule, mirror)
        case Kind.NODE | Kind.SERVICE:
            return _of_swarm(alert, rule, mirror)
        case Kind.UNIT:
            units = mirror.resources.units
            states = {unit.ref.id: unit.active for unit in units or ()}
            state = states.get(alert.subject.id, REMOVED)
            return None if units is None else (EventKind.OTHER, UNIT_STATE, {"state": state})
        case _:
            return _NO_NEWS


def _container(alert: Alert, rule: Rule, mirror: Mirror) -> _Found | None:
    if not mirror.live:
        return None
    row = mirror.containers.get(alert.subject.id)
    if row is None:
        return _REMOVED
    if EventKind.HEALTH in rule.on:
        ended = row.state not in LIVE_STATES
        return (EventKind.DIED, "", {}) if ended else (EventKind.HEALTH, "", {"health": row.health})
    return (EventKind.STARTED, "", {}) if row.state in LIVE_STATES else _NO_NEWS


def _of_swarm(alert: Alert, rule: Rule, mirror: Mirror) -> _Found | None:
    if (state := mirror.swarm_state) is None:
        return None
    if alert.subject.kind is Kind.NODE:
        node = next((each for each in state.nodes if each.id == alert.subject.id), None)
        return _REMOVED if node is None else (EventKind.NODE_STATE, "", {"state": node.state})
    service = next((each for each in state.services if each.id == alert.subject.id), None)
    if service is None:
        return _REMOVED
    if EventKind.ROLLOUT in rule.on:
        return (EventKind.ROLLOUT, "", {"state": service.update})
    return (EventKind.REPLICAS, "", {"running": str(service.running), "desired": str(service.desired)})
