"""A service: several containers that a compose project or a Swarm runs alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from core.model.containers import Container, Port, group_names, protected
from core.model.facts import Facts
from core.model.refs import Ref


class Service(msgspec.Struct, frozen=True):
    """A service: what a compose project or a Swarm runs several alike of.

    `mode` is `compose`, or Swarm's `replicated`, `global`, `replicated-job`, `global-job`; `swarm` where all we know
    are this worker's own tasks. `desired` is None where the engine cannot say. `labels` has each different set of
    labels its parts carry, since permission must hold for all of them; `members` are the ids of its containers as far
    as known. `health` and `update` are sentences, empty where there is nothing to say.
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

    @property
    def full_names(self) -> tuple[str, ...]:
        """What it is called in full, whoever says it: `shop/web`, `shop_web`."""
        return tuple(dict.fromkeys((self.ref.name, *group_names(self.project, self.service))))

    @property
    def short_name(self) -> str:
        return self.service.removeprefix(f"{self.project}_") if self.project else self.service

    def facts(self, at: datetime) -> tuple[Facts, ...]:
        """One for each different set of labels. It is protected where one of its containers is."""
        return tuple(
            Facts(
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
        # A Swarm's has its containers on the engines of many nodes.
        return container.ref.id in self.members


class Services(msgspec.Struct, frozen=True):
    """The services of one engine; `missing` says what of them could not be asked for."""

    rows: tuple[Service, ...]
    missing: str = ""


def deduplicate(rows: Iterable[Service]) -> list[Service]:
    """Each Swarm service once, though workers tell of their part of it: what the Swarm itself says stands before."""
    kept: dict[object, Service] = {}
    for row in rows:
        key = row.ref if row.mode == "compose" else row.ref.id
        if key not in kept or (kept[key].desired is None and row.desired is not None):
            kept[key] = row
    return list(kept.values())
