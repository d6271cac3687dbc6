"""Selects events by the names that a person typed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence, Set

from core.model.events import Event, EventKind
from core.model.refs import Kind, Ref
from core.name_matching import match, selection

Names = Iterable[tuple[str, tuple[Ref, ...]]]
"""Each typed name with the containers that it selects now."""


def select_events(names: Names, events: Sequence[Event]) -> Sequence[Event]:
    """Returns the events of the resources that the names select, in the order given; all events without a name. Gaps
    in the events of their engines are selected too, because other events may be missing in them."""
    typed = list(dict.fromkeys(names))
    if not typed:
        return events
    selected = _selected_subjects(typed, {ref for event in events for ref in _subjects(event)})
    engines = {ref.engine for ref in selected} | {ref.engine for _, existing in typed for ref in existing}
    return [
        event
        for event in events
        if not selected.isdisjoint(_subjects(event))
        or (event.kind is EventKind.GAP and event.subject.engine in engines)
    ]


def _subjects(event: Event) -> Sequence[Ref]:
    """The resource of the event, and the container that a network event is about."""
    attached = event.attrs.get("container_name")
    if not attached:
        return (event.subject,)
    engine = event.subject.engine
    return (event.subject, Ref(engine=engine, kind=Kind.CONTAINER, id=event.attrs["container"], name=attached))


def _selected_subjects(names: Names, subjects: Collection[Ref]) -> Set[Ref]:
    """The subjects of events that the typed names select.

    A name that selects existing containers selects their events, and those of earlier containers of their names. Any
    other name and any glob is matched with the names in the events, and so is every name for images, networks and the
    like.
    """
    containers = [ref for ref in subjects if ref.kind is Kind.CONTAINER]
    others: defaultdict[Kind, list[Ref]] = defaultdict(list)
    for ref in subjects:
        if ref.kind is not Kind.CONTAINER:
            others[ref.kind].append(ref)
    selected: set[Ref] = set()
    for name, existing in dict.fromkeys(names):
        if existing:
            ids = {ref.id for ref in existing}
            by_id = "#" in name or any(ref.bare_id.startswith(name) for ref in existing)
            called = set() if by_id else {(ref.engine, ref.name) for ref in existing}
            selected.update(ref for ref in containers if ref.id in ids or (ref.engine, ref.name) in called)
        if not existing or match.parse(name).is_glob:
            selected.update(selection.match_refs(name, containers))
        for refs in others.values():
            selected.update(selection.match_refs(name, refs))
    return selected
