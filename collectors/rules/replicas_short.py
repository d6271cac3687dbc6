"""Fires when a Swarm service runs fewer replicas than it should for two minutes."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind


def check(seen: RuleInput) -> Finding | None:
    if seen.last.kind is EventKind.REMOVED:
        return Cleared("the service was removed")
    running, desired = seen.last.attrs.get("running", ""), seen.last.attrs.get("desired", "")
    if not (running.isdecimal() and desired.isdecimal()):
        return None
    if int(running) < int(desired):
        return Firing(f"only {running} of {desired} replicas run")
    return Cleared(f"{running} of {desired} replicas run")


rule = Rule(
    name="replicas-short",
    summary="A Swarm service has run fewer replicas than it should for two minutes.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.REPLICAS, EventKind.REMOVED}),
    check=check,
    topic="replicas",
    hold=timedelta(minutes=2),
    settle=None,
)
