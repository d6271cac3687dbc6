"""Defines the action that lists past events."""

from __future__ import annotations

import fnmatch
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.event_coverage import Coverage
from core.model.events import Event, EventList, is_lifecycle, is_probe
from core.model.refs import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEvents(Action[Any]):
    """The newest `limit` events from `since_ns` to `until_ns` (nanoseconds since the epoch; 0: no end), as far back as
    the engine or Quarterdeck's history goes.

    `lifecycle`: only those that `events.is_lifecycle` selects; `probes`: also those that health probes cause. `types`:
    only of these types, if any; `actions`: only those that one of these globs names, in the engine's word (`die`) or in
    ours (`died`, `image pull`). `names`: each typed name with the containers that it selects now. The engine ignores
    them; the stored history and the command use them to choose among the events. `coverage`: asks also which part of
    the time the answer covers.

    The result is an EventList. With `follow` it is a job (core.model.background_jobs.JobStarted) that passes on
    new events, after those since `since_ns`, until somebody stops it."""

    verb = "event.list"
    listing = True
    since_ns: int = 0
    until_ns: int = 0
    limit: int = 1000
    lifecycle: bool = False
    probes: bool = False
    types: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    names: tuple[tuple[str, tuple[Ref, ...]], ...] = ()
    follow: bool = False
    coverage: bool = False

    def selects(self, event: Event) -> bool:
        """Returns whether this asks for the event; names are not compared."""
        if event.at_ns < self.since_ns or (self.until_ns and event.at_ns > self.until_ns):
            return False
        return self.wants(event)

    def wants(self, event: Event) -> bool:
        """Returns whether this asks for such an event, whenever it happened."""
        if not self.matches(event.type, event.action, event.kind):
            return False
        return is_lifecycle(event) if self.lifecycle else self.probes or not is_probe(event)

    def matches(self, type_: str, action: str, kind: str) -> bool:
        """Returns whether an event of this type, action and kind may be asked for."""
        if self.types and type_ not in self.types:
            return False
        words = (action, kind, kind.replace("_", " "), f"{type_} {action}")
        return not self.actions or any(fnmatch.fnmatchcase(word, glob) for glob in self.actions for word in words)

    def asks(self) -> Hashable:
        """Returns what this asks of its engine. Lists of one command that ask the same of several are equal here."""
        return (
            *(self.since_ns, self.until_ns, self.limit, self.lifecycle, self.probes),
            *(self.types, self.actions, self.names, self.coverage),
        )

    def select(
        self, events: Iterable[Event], notes: Sequence[str] = (), *, coverage: Coverage | None = None
    ) -> EventList:
        """Returns the newest of the events that this asks for, sorted by time."""
        found = sorted(filter(self.selects, events), key=_at)
        return EventList(rows=tuple(found[-self.limit :]), notes=tuple(notes), coverage=coverage)

    def select_remembered(self, events: Sequence[Event], oldest_ns: int | None = None) -> EventList:
        """Returns the same of events that an engine remembers, with the time that it remembers. `events`: all that it
        remembers, or all since the time that is asked for; then `oldest_ns` is the time of its oldest one, if it has
        one from before."""
        times = [event.at_ns for event in events]
        oldest = min([*times, *([oldest_ns] if oldest_ns else [])], default=0)
        return self.select(events, coverage=Coverage(remembered_ns=oldest) if self.coverage else None)


def _at(event: Event) -> int:
    return event.at_ns
