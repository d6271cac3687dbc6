"""Selects the rows that a person may see. Also records which resources a command searched for.

The policy uses this record to find whether a change affects everything that an engine has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import msgspec

from core.lazy_dataclass import dataclass
from core.model.event_actions import ListEvents
from core.model.events import Event
from core.model.refs import EngineRef, Key, Kind, Ref
from core.model.registry_reads import FindOutdated
from core.model.resource_usage import ReadUsage
from core.name_matching import selection
from core.name_matching.match import is_pattern
from core.ports import Query

# Lists whose rows are about resources: decided on those resources, which are listed for that.
ABOUT_RESOURCES = (ListEvents, ReadUsage, FindOutdated)
ROWS_PER_TURN = 100  # rows that are decided on before other tasks run


async def select_rows(rows: Iterable[Any], allowed: Callable[[Any], bool]) -> Sequence[Any]:
    """Returns the allowed rows. Other tasks run in between: to decide on thousands of rows takes a second."""
    found = []
    for number, row in enumerate(rows, 1):
        if allowed(row):
            found.append(row)
        if number % ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
    return found


def container_names(events: Iterable[Event], existing: Iterable[Ref]) -> Mapping[str, str]:
    """Returns the names of containers by id: of those that exist, and of those that the events are about."""
    named = {event.subject.id: event.subject.name for event in events if event.subject.kind is Kind.CONTAINER}
    return named | {ref.id: ref.name for ref in existing}


def add_container_name(event: Event, names: Mapping[str, str], allowed: Callable[[Ref], bool]) -> Event:
    """Returns the event of a network with the name of the container that it is about; without it, if that container may
    not be seen."""
    container_id = event.attrs.get("container")
    if container_id is None:
        return event
    name = names.get(container_id) or event.attrs.get("container_name") or container_id[:12]
    ref = Ref(engine=event.subject.engine, kind=Kind.CONTAINER, id=container_id, name=name)
    others = {key: text for key, text in event.attrs.items() if key not in ("container", "container_name")}
    known = {"container": container_id, "container_name": name} if allowed(ref) else {}
    return msgspec.structs.replace(event, attrs=others | known)


@dataclass(frozen=True, slots=True)
class Lookup:
    """Holds what one call of `find` looked for, and the rows among which it did: those that the requester may list."""

    query: Query
    rows: Sequence[Any]

    def by_engine(self) -> Iterator[tuple[EngineRef, Set[Key], Set[Key]]]:
        """Yields, for each engine, all its rows, and those that run if there are several."""
        grouped: dict[EngineRef, list[Any]] = {}
        for row in self.rows:
            grouped.setdefault(row.ref.engine, []).append(row)
        for engine, own in grouped.items():
            running = {row.ref.key for row in own if getattr(row, "state", "") == "running"}
            yield engine, {row.ref.key for row in own}, running if len(running) > 1 else set()

    def named_alone(self) -> Set[Key]:
        """Returns the resources that a name selects which is no pattern and selects nothing else."""
        plain = [name for name in self.query.names if not is_pattern(name)]
        found = [selection.match(self.query.kind, name, self.rows).targets for name in plain]
        return {targets[0].ref.key for targets in found if len(targets) == 1}
