"""Fires when a node of a Swarm has been down, disconnected or in an unknown state for 30 seconds."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind

DOWN = frozenset({"down", "disconnected", "unknown"})


def check(seen: RuleInput) -> Finding | None:
    if seen.last.kind is EventKind.REMOVED:
        return Cleared("the node was removed from the Swarm")
    state, why = seen.last.attrs.get("state", ""), seen.last.attrs.get("why", "")
    if state in DOWN:
        return Firing(f"the node is {state}" + (f": {why}" if why else ""))
    return Cleared("the node is ready again") if state == "ready" else None


rule = Rule(
    name="node-down",
    summary="A node of a Swarm has been down for 30 seconds.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.NODE_STATE, EventKind.REMOVED}),
    check=check,
    topic="node",
    hold=timedelta(seconds=30),
    settle=None,
)
