"""Fires once after a time of at least two minutes in which no process of Quarterdeck watched any engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collectors.rule import Rule, Seen
from collectors.unwatched_time import ACTION, FROM, UNTIL
from core.model.alerts import Finding, Firing, Severity
from core.model.events import EventKind


def check(seen: Seen) -> Finding | None:
    began, ended = (datetime.fromtimestamp(int(seen.last.attrs[name]) / 1e9, UTC) for name in (FROM, UNTIL))
    minutes = int((ended - began).total_seconds() // 60)
    return Firing(f"nobody watched from {began:%Y-%m-%d %H:%M:%S} to {ended:%Y-%m-%d %H:%M:%S} UTC ({minutes} minutes)")


rule = Rule(
    name="nobody-watched",
    summary="No process of Quarterdeck watched any engine for two minutes or more.",
    severity=Severity.MEDIUM,
    on=frozenset({EventKind.OTHER}),
    check=check,
    topic="nobody-watched",
    settle=timedelta(minutes=1),
    actions=frozenset({ACTION}),
)
