"""Fires when all tries of self-healing for an incident failed, and it stops trying for a time."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import HEALED, HEALING_GAVE_UP, EventKind


def check(seen: RuleInput) -> Finding | None:
    if seen.last.action == HEALED:
        return Cleared("the trouble is over")
    return Firing(f"self-healing gave up: {seen.last.attrs.get('why', '')}".rstrip(": "))


rule = Rule(
    name="healing-gave-up",
    summary="All tries of self-healing failed, and a person must repair the resource.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.OTHER}),
    check=check,
    topic="healing",
    settle=timedelta(days=1),
    actions=frozenset({HEALING_GAVE_UP, HEALED}),
)
