"""Defines services: a service is a group of equal containers of a compose project or a Swarm."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from core.model.containers import SWARM_SERVICE_LABEL, Container, Port, group_names, protected
from core.model.refs import Ref
from core.model.resource_facts import ResourceFacts


class Service(msgspec.Struct, frozen=True):
    """One service.

    `mode` is `compose`, or Swarm's `replicated`, `global`, `replicated-job` or `global-job`, or `swarm` if only the
    tasks of this worker are known. `desired` is None if the engine does not know it. `labels`: each different set of
    labels of its containers, because permission is needed for all of them. `members`: ids of its containers, as far as
    known. `health` and `update` are sentences, or empty. `reaches`: what its tasks take from their hosts, one phrase
    each; `earlier_reaches`: the same of its version before the last update. `values`: the secrets and configs that its
    tasks can read.
    """

    ref: Ref
    mode: str
    image: str
    running: int
    desired: int | None
    labels: tuple[dict[str, str], ...]
    project: str | None = None
    service: str = ""
    members: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    health: str = ""
    update: str = ""
    reaches: tuple[str, ...] = ()
    earlier_reaches: tuple[str, ...] = ()
    values: tuple[Ref, ...] = ()

    @property
    def full_names(self) -> tuple[str, ...]:
        """Every full name that selects it: `shop/web`, `shop_web`."""
        return tuple(dict.fromkeys((self.ref.name, *group_names(self.project, self.service, in_stack=self.in_stack))))

    @property
    def short_name(self) -> str:
        return self.service.removeprefix(f"{self.project}_") if self.in_stack else self.service

    @property
    def in_stack(self) -> bool:
        """Whether it belongs to a Swarm stack, so that its name begins with the stack's."""
        return bool(self.project) and self.mode != "compose"

    def facts(self, at: datetime) -> tuple[ResourceFacts, ...]:
        """Returns one for each different set of labels. The service is protected if one of its containers is."""
        return tuple(
            ResourceFacts(
                labels=labels,
                image=self.image,
                project=self.project,
                service=self.service,
                protected=any(map(protected, self.labels)),
                at=at,
            )
            for labels in self.labels or ({},)
        )

    def contains(self, container: Container) -> bool:
        # The containers of a Swarm service are on the engines of many nodes, and a new one is listed there first.
        return container.ref.id in self.members or container.labels.get(SWARM_SERVICE_LABEL) == self.ref.id


class Services(msgspec.Struct, frozen=True):
    """The services of one engine. `missing`: a sentence about what could not be listed."""

    rows: tuple[Service, ...]
    missing: str = ""


def deduplicate(rows: Iterable[Service]) -> list[Service]:
    """Removes duplicates of Swarm services. A manager's row replaces the rows of workers, which know only their
    part."""
    unique: dict[object, Service] = {}
    for row in rows:
        key = row.ref if row.mode == "compose" else row.ref.id
        if key not in unique or (unique[key].desired is None and row.desired is not None):
            unique[key] = row
    return list(unique.values())
