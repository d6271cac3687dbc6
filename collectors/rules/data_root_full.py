"""Fires when the file system that holds an engine's data is nearly full.

An engine whose disk is full cannot start containers, pull images or write logs. The alert ends when enough is free
again, a little below the threshold, so that it does not begin and end with every log line.
"""

from __future__ import annotations

from collectors.host_state_events import DATA_ROOT
from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind

MAX_PERCENT = 90.0
HYSTERESIS = 3.0  # percent points below the threshold, from which on the alert is over


def check(seen: RuleInput) -> Finding | None:
    percent = seen.last.attrs.get("percent", "")
    if reporter := seen.last.attrs.get("reporter", ""):
        return Cleared(f"{reporter} has the same disk and reports it")
    if not percent.isdecimal():
        return Cleared("Quarterdeck does not watch the engine now")
    free = seen.last.attrs.get("free", "")
    if int(percent) >= seen.threshold:
        return Firing(f"the disk that holds its data is {percent} % full" + (f", {free} are free" if free else ""))
    if int(percent) < seen.threshold - HYSTERESIS:
        return Cleared(f"the disk that holds its data is {percent} % full")
    return None


rule = Rule(
    name="data-root-full",
    summary="The disk that holds an engine's images, containers and volumes is nearly full.",
    severity=Severity.HIGH,
    on=frozenset({EventKind.OTHER}),
    check=check,
    topic="disk",
    settle=None,
    threshold=MAX_PERCENT,
    threshold_unit="percent",
    actions=frozenset({DATA_ROOT}),
)
