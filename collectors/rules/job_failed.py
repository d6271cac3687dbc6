"""Fires when a container that runs once, such as a cron job, fails. The next run that finishes resolves the alert."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from collectors.rules._container_ends import UNWANTED, is_job
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.end_causes import CauseKind
from core.model.events import EventKind


def check(seen: RuleInput) -> Finding | None:
    if seen.cause is None or not is_job(seen):
        return None
    if seen.cause.kind in UNWANTED:
        return Firing(f"the job failed: {seen.cause.text}")
    if seen.cause.kind is CauseKind.FINISHED:
        return Cleared("the next run finished")
    return None


rule = Rule(
    name="job-failed",
    summary="A container that runs once failed.",
    severity=Severity.MEDIUM,
    on=frozenset({EventKind.DIED}),
    check=check,
    topic="job",
    settle=timedelta(days=2),
)
