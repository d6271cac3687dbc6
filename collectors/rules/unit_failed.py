"""Fires when a systemd unit that runs a container has failed, which means that systemd does not start it again."""

from __future__ import annotations

from collectors.host_state_events import UNIT_STATE
from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind

OVER = {
    "active": "the unit is active again",
    "inactive": "the unit was stopped or reset",
    "removed": "the unit was removed",
}


def check(seen: RuleInput) -> Finding | None:
    state, why = seen.last.attrs.get("state", ""), seen.last.attrs.get("why", "")
    if state == "failed":
        return Firing("the unit failed" + (f": {why}" if why else ""))
    return Cleared(OVER[state]) if state in OVER else None


rule = Rule(
    name="unit-failed",
    summary="A systemd unit that runs a container has failed.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.OTHER}),
    check=check,
    topic="unit",
    settle=None,
    actions=frozenset({UNIT_STATE}),
)
