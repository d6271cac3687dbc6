"""Fires when the health check of a container changes its result again and again."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from collectors.rule import Rule, RuleInput
from core.model.alerts import Finding, Firing, Severity
from core.model.events import EventKind

MIN_CHANGES = 6
WINDOW = timedelta(minutes=15)


def check(seen: RuleInput) -> Finding | None:
    results = [one.event.attrs.get("health", "") for one in seen.events]
    results = [result for result in results if result in ("healthy", "unhealthy")]
    changes = sum(before != after for before, after in pairwise(results))
    if changes < seen.threshold:
        return None
    minutes = int(WINDOW.total_seconds() // 60)
    return Firing(f"its health check changed its result {changes} times in {minutes} minutes")


rule = Rule(
    name="flapping",
    summary="The health check of a container changes its result again and again.",
    severity=Severity.MEDIUM,
    on=frozenset({EventKind.HEALTH}),
    check=check,
    topic="health",
    window=WINDOW,
    settle=WINDOW,
    threshold=MIN_CHANGES,
    threshold_unit="changes in 15 minutes",
)
