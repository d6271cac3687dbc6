"""Fires once after a time of at least two minutes in which no process of Quarterdeck watched any engine."""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from collectors.unwatched_time import ACTION, FROM, UNTIL
from core.model.alerts import Finding, Firing, Severity
from core.model.events import EventKind
from core.text import text_timestamps


def check(seen: RuleInput) -> Finding | None:
    began, ended = (int(seen.last.attrs[name]) / 1e9 for name in (FROM, UNTIL))
    minutes = int((ended - began) // 60)
    first, last = text_timestamps.format_timestamp(began), text_timestamps.format_timestamp(ended)
    return Firing(f"nobody watched from {first} to {last} ({minutes} minutes)")


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
