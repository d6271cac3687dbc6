"""Fires when an engine has not answered, or its event stream has been interrupted, for a minute."""

from __future__ import annotations

from datetime import timedelta

from collectors.engine_state_events import DOWN, REMOVED, UP
from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind


def check(seen: RuleInput) -> Finding | None:
    if seen.last.action == UP:
        return Cleared("the engine answers, and its events are received")
    if seen.last.action == REMOVED:
        return Cleared("Quarterdeck does not watch the engine now")
    return Firing(f"the engine is not watched: {seen.last.attrs.get('why', '')}".rstrip(": "))


rule = Rule(
    name="engine-down",
    summary="An engine has not answered, or its event stream has been interrupted, for a minute.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.OTHER}),
    check=check,
    topic="engine",
    hold=timedelta(seconds=30),
    settle=None,
    actions=frozenset({DOWN, UP, REMOVED}),
)
