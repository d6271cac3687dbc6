"""Stores the newest events of one engine in memory, and lists the events since a given time.

Events are added in the engine's order. If too many events are stored, the oldest are dropped. Events of health probes
are not stored, because they would soon replace all other events.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from core.model.causes import Cause
from core.model.events import Event, EventKind, is_execution

# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_DIED, _HEALTH = EventKind.DIED, EventKind.HEALTH
_OF_PROBES = frozenset({EventKind.HEALTH, EventKind.OTHER})
CAPACITY = 4096


class EventHistory:
    """Stores the last events. `complete_since`: the engine's time, in nanoseconds, from which on no event is missing;
    None before the first stream."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=CAPACITY)
        self._causes: OrderedDict[tuple[int, str, str, str], Cause] = OrderedDict()  # by the identity of the end
        self.complete_since: int | None = None

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Adds events in the order given."""
        added = [event for event in events if event.kind not in _OF_PROBES or not is_probe(event)]
        if (excess := len(self._events) + len(added) - CAPACITY) > 0:
            dropped = itertools.islice(itertools.chain(self._events, added), excess)
            self.complete_since = max(self.complete_since or 0, max(map(_at, dropped)) + 1)
        self._events.extend(added)

    def since(self, at_ns: int) -> list[Event]:
        return [self._with_cause(event) for event in self._events if event.at_ns >= at_ns]

    def set_cause(self, died: Event, cause: Cause) -> None:
        """Adds the cause of an end to its event: the attributes `cause`, `cause_text` and, if known, `cause_by`."""
        self._causes[died.identity()] = cause
        if len(self._causes) > CAPACITY:
            self._causes.popitem(last=False)

    def _with_cause(self, event: Event) -> Event:
        cause = self._causes.get(event.identity()) if event.kind is _DIED else None
        if cause is None:
            return event
        attrs = {**event.attrs, "cause": str(cause.kind), "cause_text": cause.text}
        return msgspec.structs.replace(event, attrs=attrs | ({"cause_by": cause.by} if cause.by else {}))

    def is_complete_since(self, at_ns: int) -> bool:
        return self.complete_since is not None and self.complete_since <= at_ns


def newest(events: Iterable[Event], limit: int) -> tuple[Event, ...]:
    """Returns the last `limit` events, sorted by time."""
    return tuple(sorted(events, key=_at)[-limit:])


def merge(first: Sequence[Event], second: Sequence[Event]) -> list[Event]:
    """Returns each event once, without those of health probes. If both lists have an event, `second`'s is returned."""
    merged = {event.identity(): event for event in first if not is_probe(event)}
    merged.update((event.identity(), event) for event in second)
    return list(merged.values())


def is_probe(event: Event) -> bool:
    """Whether a health probe caused the event: an exec, or a health event without a result."""
    return is_execution(event) or (event.kind is _HEALTH and "health" not in event.attrs)


def _at(event: Event) -> int:
    return event.at_ns
