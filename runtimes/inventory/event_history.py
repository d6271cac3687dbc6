"""Stores the newest events of one engine in memory, and lists the events since a given time.

Events are added in the engine's order. If too many events are stored, the oldest are dropped. Events of health probes
are not stored, because they would soon replace all other events.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin, is_probe

# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_DIED, _RESYNC = EventKind.DIED, Origin.RESYNC
_PROBING = frozenset({EventKind.HEALTH, EventKind.OTHER})  # the kinds of events that a probe may have caused
_RUN = frozenset({EventKind.STARTED, EventKind.DIED})
_LIFE = frozenset({EventKind.CREATED, EventKind.REMOVED})
CAPACITY = 4096


class EventHistory:
    """Stores the last events. `complete_since`: the engine's time, in nanoseconds, from which on no event is missing;
    None before the first stream. `awaits_cause`: whether the cause of this end will be added. `number`: how many
    events were added so far."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=CAPACITY)
        self._causes: OrderedDict[tuple[int, str, str, str], Cause] = OrderedDict()  # by the identity of the end
        self.complete_since: int | None = None
        self.awaits_cause: Callable[[Event], bool] = lambda died: False
        self.number = 0

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Adds events in the order given."""
        added = [event for event in events if event.kind not in _PROBING or not is_probe(event)]
        if (excess := len(self._events) + len(added) - CAPACITY) > 0:
            dropped = itertools.islice(itertools.chain(self._events, added), excess)
            self.complete_since = max(self.complete_since or 0, max([event.at_ns for event in dropped]) + 1)
        self._events.extend(added)
        self.number += len(added)

    def after(self, number: int) -> Iterator[Event]:
        """Yields the stored events that were added after so many others, the newest first."""
        return itertools.islice(reversed(self._events), max(0, self.number - number))

    def since(self, at_ns: int) -> list[Event]:
        return [self._with_cause(event) for event in self._events if event.at_ns >= at_ns]

    def last_end(self, container_id: str) -> Event | None:
        """Returns the newest stored end of a container, with its cause as far as known."""
        ends = (event for event in reversed(self._events) if event.kind is _DIED and event.subject.id == container_id)
        found = next(ends, None)
        return None if found is None else self._with_cause(found)

    def set_cause(self, died: Event, cause: Cause) -> None:
        """Adds the cause of an end to its event: the attributes `cause`, `cause_text` and, if known, `cause_by`."""
        self._causes[died.identity()] = cause
        if len(self._causes) > CAPACITY:
            self._causes.popitem(last=False)

    def _with_cause(self, event: Event) -> Event:
        if event.kind is not _DIED:
            return event
        if (cause := self._causes.get(event.identity())) is not None:
            return explained(event, cause)
        return pending(event) if self.awaits_cause(event) else event

    def is_complete_since(self, at_ns: int) -> bool:
        return self.complete_since is not None and self.complete_since <= at_ns


def explained(died: Event, cause: Cause) -> Event:
    """Returns the event of an end with its cause."""
    attrs = {**died.attrs, "cause": str(cause.kind), "cause_text": cause.text}
    return msgspec.structs.replace(died, attrs=attrs | ({"cause_by": cause.by} if cause.by else {}))


def pending(died: Event) -> Event:
    """Returns the event of an end whose cause is not known yet."""
    return msgspec.structs.replace(died, attrs={**died.attrs, "cause_pending": "true"})


def merge(*lists: Iterable[Event]) -> list[Event]:
    """Returns each event of these lists once, sorted by time: of equal ones, the one that says most of its cause."""
    merged: dict[tuple[int, str, str, str], Event] = {}
    for event in itertools.chain(*lists):
        identity = event.identity()
        known = merged.get(identity)
        if known is None or _says(event.attrs) > _says(known.attrs):
            merged[identity] = event
    return sorted(merged.values(), key=_at)


def cause_rank(attrs: Mapping[str, str]) -> int:
    """How much is known of the cause of an end: nothing, that it is unknown, the cause, or also the requester."""
    if "cause_by" in attrs:
        return 3
    cause = attrs.get("cause", "")
    return 0 if not cause else 1 if cause == CauseKind.UNKNOWN else 2


def _says(attrs: Mapping[str, str]) -> tuple[int, bool]:
    return cause_rank(attrs), "cause_pending" in attrs


def without_found_again(events: Sequence[Event]) -> list[Event]:
    """Leaves out what a list found again: a list does not know the time of an end or a removal, so another process that
    received the event has another time for it. `events`: all of a time, sorted, because a start in between makes it
    another end."""
    kept: dict[int, Event] = {}
    last: dict[tuple[str, bool], int] = {}  # the newest event about the run, or about the life, of each container
    for at, event in enumerate(events):
        kept[at] = event
        if event.kind in _RUN or event.kind in _LIFE:
            key = (event.subject.id, event.kind in _RUN)
            before = kept.get(last.get(key, -1))
            if before is not None and before.kind is event.kind:
                if event.origin is _RESYNC:
                    del kept[at]
                    continue
                if before.origin is _RESYNC:
                    del kept[last[key]]
            last[key] = at
    return list(kept.values())


def _at(event: Event) -> int:
    return event.at_ns
