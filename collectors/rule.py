"""Defines Rule: one kind of problem that alerts report, and the input of a rule's check.

A rule is a constant with a check function, which has no side effects. The function gets the events of one owner, oldest
first, and returns a Firing, a Cleared or None. The evaluator calls it, waits, counts and reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import timedelta

import msgspec

from core.lazy_dataclass import dataclass
from core.model.alerts import Finding, Severity
from core.model.containers import Container
from core.model.end_causes import Cause
from core.model.events import Event, EventKind


class SeenEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event, and the cause of the end if it is an end."""

    event: Event
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInput:
    """What a rule sees. `events`: the owner's events of the rule's window and kinds, oldest first; the last one is new.
    `container`: the subject as the mirror caches it; None if it is not a container or is removed. `labels`: of the
    container, or of its events if it was never inspected. `threshold`: the rule's number, as configured."""

    events: Sequence[SeenEvent]
    labels: Mapping[str, str] = field(default_factory=dict)
    container: Container | None = None
    threshold: float = 0.0

    @property
    def last(self) -> Event:
        return self.events[-1].event

    @property
    def cause(self) -> Cause | None:
        return self.events[-1].cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    `on`: the kinds of events after which it is asked. `window`: how long an event stays in what it sees. `hold`: how
    long the trouble must last before an alert fires; a Cleared in this time cancels it. `settle`: after this time
    without a Firing, the alert resolves by itself; None: only a Cleared resolves it. `cooldown`: how long after the end
    of an alert the same alert does not fire again. `threshold`: the number that `check` compares with, if there is one;
    `threshold_unit` says what it counts. `topic`: rules with the same topic
    report the same trouble, and the most severe one counts. `actions`: of the events of kind OTHER, only those with one
    of these actions. `until_running`: an alert resolves by itself only if a container of the owner runs, or none exists
    any more. `on_by_default`: whether the rule runs without being configured.
    """

    name: str
    summary: str
    severity: Severity
    on: frozenset[EventKind]
    check: Callable[[RuleInput], Finding | None]
    topic: str
    window: timedelta = timedelta(minutes=10)
    hold: timedelta = timedelta(0)
    settle: timedelta | None = timedelta(minutes=5)
    cooldown: timedelta = timedelta(0)
    threshold: float | None = None
    threshold_unit: str = ""
    actions: frozenset[str] = frozenset()
    until_running: bool = False
    on_by_default: bool = True


TEST_RULE = Rule(
    name="test",
    summary="A test alert, which somebody asked for.",
    severity=Severity.LOW,
    on=frozenset(),
    check=lambda seen: None,
    topic="test",
    settle=timedelta(minutes=1),
)
