"""Defines the action that lists past events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.model.actions import Action
from core.model.events import Event, EventList, is_lifecycle, is_probe
from core.model.refs import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEvents(Action[EventList]):
    """The newest `limit` events from `since_ns` to `until_ns` (nanoseconds since the epoch; 0: no end), as far back as
    the engine or Quarterdeck's history goes. `lifecycle`: only those that `events.is_lifecycle` selects; `probes`: also
    those that health probes cause. `names`: each typed name with the containers that it selects now. The engine ignores
    them; the stored history and the command use them to choose among the events."""

    verb = "event.list"
    listing = True
    since_ns: int = 0
    until_ns: int = 0
    limit: int = 1000
    lifecycle: bool = False
    probes: bool = False
    names: tuple[tuple[str, tuple[Ref, ...]], ...] = ()

    def selects(self, event: Event) -> bool:
        """Returns whether this asks for the event; names are not compared."""
        if event.at_ns < self.since_ns or (self.until_ns and event.at_ns > self.until_ns):
            return False
        return is_lifecycle(event) if self.lifecycle else self.probes or not is_probe(event)

    def select(self, events: Iterable[Event], notes: Sequence[str] = ()) -> EventList:
        """Returns the newest of the events that this asks for, sorted by time."""
        found = sorted(filter(self.selects, events), key=_at)
        return EventList(rows=tuple(found[-self.limit :]), notes=tuple(notes))


def _at(event: Event) -> int:
    return event.at_ns
