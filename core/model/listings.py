"""What all lists have in common: which action lists a kind of thing, and what permission looks at in one of its rows.

A new kind is one line of `LISTS`; its list holds `rows`, and a row has a `ref` (or a `name` and a `kind`, where it is
nothing one acts on) and `facts()`. A row may also have `full_names` (every full name that selects it), `tag_refs` (the
same resource under each of its names) and `contains()` (whether a container ends together with it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from core.model import containers as model_containers
from core.model import services
from core.model.actions import Action, ListContainers, ListServices
from core.model.facts import Facts
from core.model.images import ListImages
from core.model.pods import ListPods
from core.model.refs import EngineRef, Kind, Ref
from core.model.resources import ListNamespaces, ListNetworks, ListVolumes
from core.model.swarm import ListNodes, ListStacks, ListTasks
from core.model.units import ListUnits

LISTS: Mapping[Kind, type[Action[Any]]] = {
    Kind.CONTAINER: ListContainers,
    Kind.SERVICE: ListServices,
    Kind.IMAGE: ListImages,
    Kind.POD: ListPods,
    Kind.NODE: ListNodes,
    Kind.TASK: ListTasks,
    Kind.STACK: ListStacks,
    Kind.UNIT: ListUnits,
    Kind.NETWORK: ListNetworks,
    Kind.VOLUME: ListVolumes,
    Kind.NAMESPACE: ListNamespaces,
}


def list_action(kind: Kind, engine: EngineRef, *, fresh: bool = False) -> Action[Any]:
    """The action that lists things of this kind. `fresh`: the engine itself is asked."""
    if kind is Kind.CONTAINER:
        return ListContainers(engine=engine, fresh=fresh)
    return LISTS[kind](engine=engine)


def deduplicate(kind: Kind, rows: Iterable[Any]) -> Sequence[Any]:
    """Each thing once, though several engines may tell of it."""
    if kind is Kind.SERVICE:
        return services.deduplicate(rows)
    return list(rows)


def row_ref(row: Any, engine: EngineRef) -> Ref:
    """Which thing a row of this engine's list is about."""
    found: Ref | None = getattr(row, "ref", None)
    return found or Ref(engine=engine, kind=row.kind, id=row.name, name=row.name)


def full_names(row: Any) -> tuple[str, ...]:
    """What it is called in full."""
    found: tuple[str, ...] | None = getattr(row, "full_names", None)
    return found or (row.ref.name,)


def permission_targets(row: Any, engine: EngineRef, at: datetime) -> Sequence[tuple[Ref, Facts]]:
    """All that must be allowed for the row to be: under each of its names, with each different set of its facts."""
    told = row.facts(at)
    refs: Sequence[Ref] = getattr(row, "tag_refs", ()) or (row_ref(row, engine),)
    return [(one, facts) for one in refs for facts in ((told,) if isinstance(told, Facts) else told)]


def contains_any(row: Any, containers: Iterable[model_containers.Container]) -> bool:
    """Whether one of these containers ends when the thing does."""
    holding = getattr(row, "contains", None)
    return holding is not None and any(map(holding, containers))
