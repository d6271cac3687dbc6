"""Holds the known facts about the target of an action, from the lists of the engines, and finds what belongs to the
target.

core.model.effects uses these facts to predict the side effects of an action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.lazy_dataclass import dataclass
from core.model import images, swarm
from core.model.containers import (
    COMPOSE_PROJECT_LABEL,
    COMPOSE_SERVICE_LABEL,
    SWARM_NODE_LABEL,
    SWARM_SERVICE_LABEL,
    Container,
)
from core.model.refs import EngineRef, Kind, Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """Holds what the lists of the engines show. `row`: the target's own; None if it was not listed. `images`: those of
    the target's engine; None if they could not be listed."""

    row: Any = None
    containers: Sequence[Container] = ()
    images: Sequence[images.Image] | None = None
    tasks: Sequence[swarm.Task] = ()


def members(known: TargetFacts) -> tuple[Ref, ...]:
    """Returns the containers that belong to the target, in the order of the target's own list of them."""
    row, contains = known.row, getattr(known.row, "contains", None)
    if contains is None:
        return ()
    found = {one.ref.id: one.ref for one in known.containers if contains(one)}
    listed: Sequence[str] = getattr(row, "members", ())
    if row.ref.engine.kind == "swarm" or getattr(row, "mode", "compose") != "compose":
        # Containers on the engines of other nodes are unknown here.
        listed = [each for each in listed if each in found]
    unlisted = {
        each: Ref(engine=row.ref.engine, kind=Kind.CONTAINER, id=each, name=each[:12])
        for each in listed
        if each not in found
    }
    ordered = [each for each in listed if each in found or each in unlisted]
    return tuple((found | unlisted)[each] for each in dict.fromkeys([*ordered, *found]))


def groups(row: Any) -> tuple[Ref, ...]:
    """Returns the service, and in a Swarm the node, that a container belongs to. A change of one of these changes its
    containers, also those that it creates meanwhile."""
    if not isinstance(row, Container):
        return ()
    labels, swarm_engine = row.labels, EngineRef(host="", kind="swarm")
    found = []
    if labels.get(COMPOSE_PROJECT_LABEL) and labels.get(COMPOSE_SERVICE_LABEL):
        name = f"{labels[COMPOSE_PROJECT_LABEL]}/{labels[COMPOSE_SERVICE_LABEL]}"
        found.append(Ref(engine=row.ref.engine, kind=Kind.SERVICE, id=name, name=name))
    if service := labels.get(SWARM_SERVICE_LABEL):
        found.append(Ref(engine=swarm_engine, kind=Kind.SERVICE, id=service, name=row.service or service))
    if node := labels.get(SWARM_NODE_LABEL):
        found.append(Ref(engine=swarm_engine, kind=Kind.NODE, id=node, name="its node"))
    return tuple(found)
