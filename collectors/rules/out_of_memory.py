"""Fires when the kernel kills a container, or a process in it, because its memory limit is reached."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from collectors.rules._container_ends import ended_by_request
from core.model.alerts import Finding, Firing, Severity
from core.model.end_causes import CauseKind
from core.model.events import EventKind


def check(seen: RuleInput) -> Finding | None:
    if seen.last.kind is EventKind.OOM:
        return Firing("the kernel killed a process in it, because its memory limit is reached")
    if seen.cause is not None and seen.cause.kind is CauseKind.OUT_OF_MEMORY:
        return Firing(seen.cause.text)
    return ended_by_request(seen)


rule = Rule(
    name="out-of-memory",
    summary="The kernel killed a container, or a process in it, because its memory limit is reached.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.DIED, EventKind.OOM}),
    check=check,
    topic="end",
    until_running=True,
    settle=timedelta(minutes=15),
)
