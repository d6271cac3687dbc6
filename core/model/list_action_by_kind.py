"""Maps each kind of resource to the action that lists it, and reads the rows of every kind of list in the same way.

The functions read from a row: its names, the facts that the policy checks (such as labels), and the containers that
belong to it. To add a kind, add one line to `LISTS`. The list action returns `rows`. A row has `facts()` and a `ref`. A
row that no action can target has a `name` and a `kind` instead of a `ref`.

A row may also have `full_names`, `tag_refs` and `contains()`. `full_names` are the full names that select the row.
`tag_refs` are the references of the same resource under each of its names. `contains()` returns whether a container
ends when the row's resource is stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from core.model import services
from core.model.actions import Action, ListContainers, ListServices
from core.model.containers import Container
from core.model.images import ListImages
from core.model.networks_and_volumes import ListNamespaces, ListNetworks, ListVolumes
from core.model.pods import ListPods
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.secrets_and_configs import ListConfigs, ListSecrets
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
    Kind.SECRET: ListSecrets,
    Kind.CONFIG: ListConfigs,
}


def make_list_action(kind: Kind, engine: EngineRef, *, fresh: bool = False) -> Action[Any]:
    """Returns the action that lists this kind. `fresh`: asks the engine even if a mirror could answer."""
    if kind is Kind.CONTAINER:
        return ListContainers(engine=engine, fresh=fresh)
    return LISTS[kind](engine=engine)


def deduplicate(kind: Kind, rows: Iterable[Any]) -> Sequence[Any]:
    """Removes duplicates: several engines may list the same Swarm service."""
    if kind is Kind.SERVICE:
        return services.deduplicate(rows)
    return list(rows)


def row_ref(row: Any, engine: EngineRef) -> Ref:
    """Returns the Ref of a row in this engine's list."""
    found: Ref | None = getattr(row, "ref", None)
    return found or Ref(engine=engine, kind=row.kind, id=row.name, name=row.name)


def full_names(row: Any) -> tuple[str, ...]:
    """Returns every full name that selects the row."""
    found: tuple[str, ...] | None = getattr(row, "full_names", None)
    return found or (row.ref.name,)


def permission_targets(row: Any, engine: EngineRef, at: datetime) -> Sequence[tuple[Ref, ResourceFacts]]:
    """Returns everything that must be allowed before the row is: each of its names, with each set of its facts."""
    known = row.facts(at)
    refs: Sequence[Ref] = getattr(row, "tag_refs", ()) or (row_ref(row, engine),)
    return [(one, facts) for one in refs for facts in ((known,) if isinstance(known, ResourceFacts) else known)]


def contains_any(row: Any, containers: Iterable[Container]) -> bool:
    """Whether one of these containers ends together with the row."""
    contains = getattr(row, "contains", None)
    return contains is not None and any(map(contains, containers))
