"""Fires when a container crashed several times and its engine does not start it again.

An engine doubles its delay with each restart, up to a minute. So the alert fires if no start follows for two minutes.
"""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from collectors.rules._container_ends import UNWANTED, ended_by_request, ends, is_job
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind

MIN_CRASHES = 2


def check(seen: RuleInput) -> Finding | None:
    if seen.last.kind is EventKind.STARTED:
        return Cleared("it was started again")
    if seen.last.kind is EventKind.REMOVED:
        return Cleared("the container was removed")
    if seen.cause is None or is_job(seen):
        return None
    if (asked_for := ended_by_request(seen)) is not None:
        return asked_for
    crashes = len(ends(seen.events, UNWANTED))
    if seen.cause.kind in UNWANTED and crashes >= seen.threshold:
        return Firing(f"it is not started again after {crashes} ends, the last one {seen.cause.text}")
    return None


rule = Rule(
    name="restart-gave-up",
    summary="A container crashed several times, and its engine does not start it again.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.DIED, EventKind.STARTED, EventKind.REMOVED}),
    check=check,
    topic="end",
    window=timedelta(minutes=30),
    hold=timedelta(minutes=2),
    settle=None,
    threshold=MIN_CRASHES,
    threshold_unit="ends in 30 minutes",
)
