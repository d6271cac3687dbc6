"""Replaces the times of events that are far in the future.

A time far ahead, such as the year 2262, comes from a broken clock or a hostile engine. If it was kept, every later
event of that container would count as old. The clock of an engine may be wrong by its time zone, so up to a day is
accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.model.events import Event

MAX_AHEAD_NS = 24 * 3600 * 1_000_000_000


def replace_far_times(batch: Sequence[Event], now_ns: int) -> tuple[Sequence[Event], int]:
    """Returns the events of a batch of at least one in order, and how many of them got `now_ns`, the time by our clock,
    instead of their own. Usually that is the batch itself."""
    latest = now_ns + MAX_AHEAD_NS
    if max([event.at_ns for event in batch]) <= latest:
        return batch, 0
    replaced = [msgspec.structs.replace(event, at_ns=now_ns) if event.at_ns > latest else event for event in batch]
    return replaced, sum(event.at_ns > latest for event in batch)
