"""Finds for which time an engine's events are in the stored history: when it was watched, its gaps, and which events
were removed.

An error of the store is not raised. Then no time counts as covered, and the list of events reports that the store did
not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from core import errors
from core.model import gaps
from core.model.event_coverage import Coverage, Missed
from core.model.events import Event, EventKind
from core.model.gaps import GapReason, Recovery
from core.model.refs import EngineRef
from core.store.records import EventName, EventsFound, EventsWanted, WatchSpan, engine_key
from runtimes.inventory import event_rows

MAX_GAPS = 200  # the newest ones of one engine
FRESH_NS = 15_000_000_000
"""A watcher that saved its time not longer ago watches now."""
REMOVED = "older events were removed from the history"
_WHY = {
    GapReason.NOT_WATCHED: "it was not watched",
    GapReason.STREAM_LOST: "its event stream was lost",
    GapReason.EVENTS_DROPPED: "its events came faster than they could be processed",
    GapReason.EVENTS_UNREADABLE: "its events could not be decoded",
}


class CoverageStore(Protocol):
    """What the coverage is read from."""

    async def watch_spans(self, engines: Sequence[str], /) -> Sequence[WatchSpan]: ...

    async def find_events(self, wanted: EventsWanted, selects: Callable[[str, str, str], bool], /) -> EventsFound: ...


async def read_coverage(
    store: CoverageStore, engine_id: str, engine: EngineRef, *, now_ns: Callable[[], int] = time.time_ns
) -> Coverage:
    """Returns what the history covers of an engine; nothing if its id is not known."""
    if not engine_id:
        return Coverage()
    key = engine_key(engine_id)
    # Gaps are found by the engine's name, and one that is not over yet is not stored: then nobody watches now.
    wanted = EventsWanted(engines=frozenset({key}), names=(EventName(text=str(engine)),), limit=MAX_GAPS)
    try:
        (span,), found = await asyncio.gather(
            store.watch_spans((engine_id,)),
            store.find_events(wanted, lambda type_, action, kind: kind == EventKind.GAP),
        )
    except errors.StoreError:
        return Coverage()
    if not span.began_ns:
        return Coverage()
    now = now_ns()
    floor = max(found.cut_until_us * 1_000, now - int(found.kept_seconds * 1e9) if found.kept_seconds else 0)
    missed = [Missed(span.began_ns, floor, REMOVED)] if floor > span.began_ns else []
    missed += gaps_among(event_rows.to_event(row, engine) for row in found.events if row.engine == key)
    until = now if span.running and now - span.until_ns < FRESH_NS else span.until_ns
    return Coverage(watched_ns=span.began_ns, watched_until_ns=until, missed=tuple(missed))


def gaps_among(events: Iterable[Event]) -> Iterator[Missed]:
    """Yields the gaps in which events were missed."""
    for event in events:
        try:
            gap = gaps.from_event(event)
        except ValueError:  # another event, or another version wrote it
            continue
        if gap.recovery is not Recovery.REPLAYED:
            yield Missed(gap.from_ns, gap.until_ns, _WHY[gap.reason])
