"""Fires when the rolling update of a Swarm service is paused because of a failure, or rolled back."""

from __future__ import annotations

from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind

FAILED = {
    "paused": "its update is paused",
    "rollback_started": "its update failed and is rolled back",
    "rollback_completed": "its update failed and was rolled back",
    "rollback_paused": "its rollback is paused",
}


def check(seen: RuleInput) -> Finding | None:
    if seen.last.kind is EventKind.REMOVED:
        return Cleared("the service was removed")
    state, why = seen.last.attrs.get("state", ""), seen.last.attrs.get("why", "")
    if state in FAILED:
        return Firing(FAILED[state] + (f": {why}" if why else ""))
    return Cleared("its update is complete") if state == "completed" else None


rule = Rule(
    name="update-stopped",
    summary="The rolling update of a Swarm service failed: it is paused or rolled back.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.ROLLOUT, EventKind.REMOVED}),
    check=check,
    topic="rollout",
    settle=None,
)
