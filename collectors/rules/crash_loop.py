"""Fires when a container ends and starts again, over and over.

It counts the ends that nobody asked for. A container that finishes with exit code 0 and is started again by its restart
policy loops as well. Only the engine's count of restarts shows that; a job that a schedule starts does not loop.
"""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, Seen
from collectors.rules._container_ends import UNWANTED, ended_by_request, ends, is_job
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.end_causes import CauseKind
from core.model.events import EventKind

MIN_CRASHES, MIN_FINISHES = 3, 8
WINDOW = timedelta(minutes=10)
_MINUTES = int(WINDOW.total_seconds() // 60)


def check(seen: Seen) -> Finding | None:
    if seen.last.kind is EventKind.REMOVED:
        return Cleared("the container was removed")
    if seen.cause is None:
        return None
    if (asked_for := ended_by_request(seen)) is not None:
        return asked_for
    starts = sum(one.event.kind is EventKind.STARTED for one in seen.events)
    crashes, finishes = len(ends(seen.events, UNWANTED)), len(ends(seen.events, frozenset({CauseKind.FINISHED})))
    if crashes >= MIN_CRASHES and starts >= MIN_CRASHES - 1 and seen.cause.kind in UNWANTED:
        return Firing(f"crash loop: {crashes} ends in {_MINUTES} minutes, the last one {seen.cause.text}")
    restarts = (seen.container.restarts if seen.container is not None else None) or 0
    if min(finishes, restarts) >= MIN_FINISHES and starts >= MIN_FINISHES - 1 and not is_job(seen):
        return Firing(f"restart loop: it finished {finishes} times in {_MINUTES} minutes and was started again")
    return None


rule = Rule(
    name="crash-loop",
    summary="A container ends and is started again, over and over.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.DIED, EventKind.STARTED, EventKind.REMOVED}),
    check=check,
    topic="end",
    until_running=True,
    window=WINDOW,
    settle=timedelta(minutes=10),
)
