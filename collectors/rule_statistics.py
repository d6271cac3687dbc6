"""Counts the evaluations and alerts of each alert rule since this process started."""

from __future__ import annotations

from collections import Counter
from dataclasses import field

from core.lazy_dataclass import dataclass


@dataclass(slots=True, kw_only=True)
class RuleStatistics:
    """Holds the counts by the name of the rule. `asked`: events about which the rule was asked. `fired`: alerts that
    began. `held_back`: findings that were not reported, because the trouble ended within the rule's `hold`, or because
    of its `cooldown`. `last_ns`: the engine's time of the event with which the last alert began."""

    asked: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    held_back: Counter[str] = field(default_factory=Counter)
    last_ns: dict[str, int] = field(default_factory=dict)
