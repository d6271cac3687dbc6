"""Fires when a container crashes, or is killed by a signal that no client of its engine sent."""

from __future__ import annotations

from collectors.rule import Rule, RuleInput
from collectors.rules._container_ends import FAILURES, ended_by_request, is_job
from core.model.alerts import Finding, Firing, Severity
from core.model.events import EventKind


def check(seen: RuleInput) -> Finding | None:
    if seen.cause is not None and seen.cause.kind in FAILURES and not is_job(seen):
        return Firing(seen.cause.text)
    return ended_by_request(seen)


rule = Rule(
    name="crash",
    summary="A container crashed, or was killed from outside its engine.",
    severity=Severity.MEDIUM,
    on=frozenset({EventKind.DIED}),
    check=check,
    topic="end",
    until_running=True,
)
