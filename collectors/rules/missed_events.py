"""Fires once for each period in which events of an engine were lost for good.

A gap of a few seconds is ignored if the list after it shows what changed: every restart of an engine causes one. A
period in which Quarterdeck did not run is ignored too: the rule `nobody-watched` reports it once for all engines.
"""

from __future__ import annotations

from datetime import timedelta

from collectors.rule import Rule, RuleInput
from core.model.alerts import Finding, Firing, Severity
from core.model.events import EventKind
from core.model.gaps import GapReason, Recovery, from_event
from core.text import text_timestamps

MIN_SECONDS = 60


def check(seen: RuleInput) -> Finding | None:
    gap = from_event(seen.last)
    if gap.reason is GapReason.NOT_WATCHED:
        return None
    if gap.recovery is Recovery.REPLAYED or (gap.recovery is Recovery.RESYNCED and gap.seconds < MIN_SECONDS):
        return None
    began, ended = (text_timestamps.format_timestamp(at / 1e9) for at in (gap.from_ns, gap.until_ns))
    return Firing(f"its events from {began} to {ended} were missed: {gap.text}")


rule = Rule(
    name="stream-blind",
    summary="Some events of an engine were missed, and not all of them could be read later.",
    severity=Severity.LOW,
    on=frozenset({EventKind.GAP}),
    check=check,
    topic="gap",
    settle=timedelta(minutes=1),
)
