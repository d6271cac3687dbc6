"""Fires when a task of a Swarm service fails or is rejected. The reason is the Swarm's own.

While an update of the service runs, failed tasks are a part of it: if the update does not succeed, the rule
`update-stopped` fires.
"""

from __future__ import annotations

from collectors.rule import Rule, RuleInput
from core.model.alerts import Finding, Firing, Severity
from core.model.events import EventKind


def check(seen: RuleInput) -> Finding | None:
    attrs = seen.last.attrs
    if attrs.get("rollout"):
        return None
    why, node = attrs.get("why", ""), attrs.get("node", "")
    where = f" on node {node}" if node else ""
    return Firing(f"a task {attrs.get('state', 'failed')}{where}" + (f": {why}" if why else ""))


rule = Rule(
    name="task-failed",
    summary="A task of a Swarm service failed or was rejected.",
    severity=Severity.MEDIUM,
    on=frozenset({EventKind.TASK_FAILED}),
    check=check,
    topic="end",
)
