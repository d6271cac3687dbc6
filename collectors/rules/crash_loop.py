"""Fires when a container ends and starts again, over and over.

It counts the ends that nobody asked for. A container that finishes with exit code 0 and is started again by its restart
policy loops as well. Only the engine's count of restarts shows that; a job that a schedule starts does not loop. The
count also shows ends that no event has reported.
"""

from __future__ import annotations

from datetime import timedelta

from collectors.restart_count_events import RESTARTS
from collectors.rule import Rule, RuleInput
from collectors.rules._container_ends import UNWANTED, ended_by_request, ends, is_job
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.end_causes import CauseKind
from core.model.events import EventKind

MIN_CRASHES = 3
FINISHES = 5  # so many more ends with exit code 0 make a loop: a worker may end by itself now and then
WINDOW = timedelta(minutes=10)
_MINUTES = int(WINDOW.total_seconds() // 60)


def check(seen: RuleInput) -> Finding | None:
    if seen.last.kind is EventKind.REMOVED:
        return Cleared("the container was removed")
    if seen.last.action == RESTARTS:
        return _missed_ends(seen)
    if seen.cause is None:
        return None
    if (asked_for := ended_by_request(seen)) is not None:
        return asked_for
    starts = sum(one.event.kind is EventKind.STARTED for one in seen.events)
    crashes, finishes = len(ends(seen.events, UNWANTED)), len(ends(seen.events, frozenset({CauseKind.FINISHED})))
    least = int(seen.threshold)
    if crashes >= least and starts >= least - 1 and seen.cause.kind in UNWANTED:
        return Firing(f"crash loop: {crashes} ends in {_MINUTES} minutes, the last one {seen.cause.text}")
    restarts = (seen.container.restarts if seen.container is not None else None) or 0
    if min(finishes, restarts) >= least + FINISHES and starts >= least + FINISHES - 1 and not is_job(seen):
        return Firing(f"restart loop: it finished {finishes} times in {_MINUTES} minutes and was started again")
    return None


def _missed_ends(seen: RuleInput) -> Finding | None:
    """Fires if the engine has restarted the container more often than ends were reported."""
    restarts = sum(int(one.event.attrs.get("number", "0")) for one in seen.events if one.event.action == RESTARTS)
    if restarts <= sum(one.cause is not None for one in seen.events) or is_job(seen):
        return None
    finished = seen.container is not None and seen.container.exit_code == 0
    if restarts < int(seen.threshold) + (FINISHES if finished else 0):
        return None
    return Firing(f"crash loop: its engine restarted it {restarts} times in {_MINUTES} minutes")


rule = Rule(
    name="crash-loop",
    summary="A container repeatedly ends and is started again.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.DIED, EventKind.STARTED, EventKind.REMOVED, EventKind.OTHER}),
    actions=frozenset({RESTARTS}),
    check=check,
    topic="end",
    until_running=True,
    window=WINDOW,
    settle=timedelta(minutes=10),
    threshold=MIN_CRASHES,
    threshold_unit="ends in 10 minutes",
)
