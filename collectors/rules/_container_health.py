"""Checks the health of a container, for the rules about health."""

from __future__ import annotations

from collectors.rule import RuleInput
from core.model.alerts import Cleared, Finding, Firing
from core.model.events import EventKind

ON = frozenset({EventKind.HEALTH, EventKind.DIED, EventKind.REMOVED})


def check_health(seen: RuleInput) -> Finding | None:
    """Fires for a health check that fails. A check that succeeds, and the end of the container, clear it."""
    if seen.last.kind is not EventKind.HEALTH:
        return Cleared("the container ended")
    health = seen.last.attrs.get("health", "")
    if health == "unhealthy":
        return Firing("its health check fails")
    return Cleared("its health check succeeds again") if health == "healthy" else None
