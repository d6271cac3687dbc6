"""Stores in memory, for the alert rules, the newest events of each owner: the service, project or container name that
an alert is about.

Rules look at a window of time. Only events that a rule can see are stored. Everything is limited: the events of one
owner, and the number of owners; the owner without news for the longest time is dropped first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collectors.rule import Rule, SeenEvent
from core.model.events import EventKind
from core.model.refs import EngineRef, Kind
from core.oldest_entries import limit_entries

OwnerKey = tuple[EngineRef, Kind, str]
MAX_OWNERS, MAX_EVENTS = 10_000, 128
NO_LABELS: Mapping[str, str] = {}


class RecentEventsByOwner:
    """The newest events by owner: engine, kind of resource and the owner's name."""

    def __init__(self) -> None:
        # Plain dictionaries and tuples, the newest last: most owners have one event, and there may be 10,000 owners.
        self._events: dict[OwnerKey, tuple[SeenEvent, ...]] = {}
        self._labels: dict[str, Mapping[str, str]] = {}  # by the id of the container

    def __len__(self) -> int:
        return len(self._events)

    def labels(self, container_id: str, known: Mapping[str, str] | None) -> Mapping[str, str]:
        """Returns the container's labels; if they are not known any more, because it was removed, the last ones."""
        if known is None:
            return self._labels.get(container_id, NO_LABELS)
        self._labels.pop(container_id, None)
        self._labels[container_id] = known
        limit_entries(self._labels, MAX_OWNERS)
        return known

    def add(self, key: OwnerKey, seen: SeenEvent) -> bool:
        """Adds an event. Returns False if it is stored already, because a stream was replayed."""
        events = self._events.pop(key, ())
        identity = seen.event.identity()
        is_new = not any(known.event.identity() == identity for known in events)
        self._events[key] = (*events, seen)[-MAX_EVENTS:] if is_new else events
        limit_entries(self._events, MAX_OWNERS)
        return is_new

    def seen_by(self, rule: Rule, key: OwnerKey) -> Sequence[SeenEvent]:
        """Returns what this rule sees of the owner, oldest first; the last event is the newest one."""
        events = self._events[key]
        since = events[-1].event.at_ns - int(rule.window.total_seconds() * 1e9)
        return [one for one in events if one.event.at_ns >= since and is_for(rule, one.event.kind, one.event.action)]


def is_for(rule: Rule, kind: EventKind, action: str) -> bool:
    """Whether the rule is asked after such an event."""
    return kind in rule.on and (kind is not EventKind.OTHER or action in rule.actions)
