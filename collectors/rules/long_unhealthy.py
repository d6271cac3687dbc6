"""Fires when the health check of a container has failed for a quarter of an hour."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule
from collectors.rules._container_health import ON, check_health
from core.model.alerts import Severity

rule = Rule(
    name="long-unhealthy",
    summary="The health check of a container has failed for 15 minutes.",
    severity=Severity.HIGH,
    on=ON,
    check=check_health,
    topic="health",
    hold=timedelta(minutes=15),
    settle=None,
)
