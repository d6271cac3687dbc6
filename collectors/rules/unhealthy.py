"""Fires when the health check of a container has failed for a minute."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule
from collectors.rules._container_health import ON, check_health
from core.model.alerts import Severity

rule = Rule(
    name="unhealthy",
    summary="The health check of a container has failed for a minute.",
    severity=Severity.MEDIUM,
    on=ON,
    check=check_health,
    topic="health",
    hold=timedelta(minutes=1),
    settle=None,
)
