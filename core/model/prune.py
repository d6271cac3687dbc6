"""Defines the unused resources of an engine, the actions that remove them, and the choice of which ones are removed.

`FindUnused` lists candidates. `choose` selects those that a prune of some kinds would remove. The prune actions hold
exactly these by their ids. So a resource that becomes unused later is not removed. The records of a build cache have no
owner and no names, so they are selected by the time of their last use. Sizes are bytes, times unix seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk
from core.model.refs import Kind, Ref

MAX_PINNED = 300
"""The most resources that one action removes."""
ORDER = (Kind.CONTAINER, Kind.NETWORK, Kind.VOLUME, Kind.IMAGE)
"""A container is removed before what it uses."""
TIMEOUT_SECONDS = 900


class UnusedResource(msgspec.Struct, frozen=True, gc=False):
    """One resource that no running container uses. `users`: the ids of the stopped containers that use it. `spare`:
    whether it goes without --all: a stopped container, a network, an anonymous volume, an image without a tag.
    `size`: None if it was not measured; of an image without the layers that it shares, if these were measured; `names`:
    all names of an image; `detail`: its state or its kind, for people."""

    ref: Ref
    users: tuple[str, ...] = ()
    spare: bool = True
    size: int | None = None
    created_at: float = 0.0
    names: tuple[str, ...] = ()
    detail: str = ""


class CacheRecord(msgspec.Struct, frozen=True, gc=False):
    """A part of a build cache that no running build uses. `used_at`: when it was used last, or created."""

    size: int
    used_at: float


class UnusedResources(msgspec.Struct, frozen=True):
    """The candidates of one engine. `measured`: False if the engine did not measure the sizes in time; then `cache`,
    its build cache, is empty."""

    rows: tuple[UnusedResource, ...]
    measured: bool = True
    cache: tuple[CacheRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FindUnused(Action[UnusedResources]):
    """Lists the resources of these kinds that no running container uses."""

    verb = "engine.unused"
    kinds: tuple[Kind, ...] = ORDER

    def timeout_seconds(self) -> float:
        return 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune(Action[Any]):
    """Removes `pinned` as a job, each only if it is still unused. `kinds`: what this action can remove; `note`: what
    the requester is told beside that, such as what was left out.

    `cache_size`: the measured size of the build cache that goes too, 0: none; what was used after `cache_used_before`
    stays. `whole_cache`: also what the engine counts as its own. The cache belongs to the engine, so whoever removes it
    needs a grant on the whole engine."""

    risk = Risk.DESTROY
    kinds: ClassVar[tuple[Kind, ...]] = ()
    prunes_cache: ClassVar[bool] = False
    pinned: tuple[UnusedResource, ...] = ()
    note: str = ""
    cache_size: int = 0
    cache_used_before: float = 0.0
    whole_cache: bool = False

    def targets(self) -> Sequence[Ref]:
        pinned = tuple(one.ref for one in self.pinned)
        return (*pinned, *Action.targets(self)) if self.cache_size or not pinned else pinned

    def without(self, gone: Collection[Ref]) -> Self:
        return replace(self, pinned=tuple(one for one in self.pinned if one.ref not in gone))

    def timeout_seconds(self) -> float:
        return TIMEOUT_SECONDS + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneContainers(Prune):
    verb = "container.prune"
    kinds = (Kind.CONTAINER,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneImages(Prune):
    verb = "image.prune"
    kinds = (Kind.IMAGE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneNetworks(Prune):
    verb = "network.prune"
    kinds = (Kind.NETWORK,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneVolumes(Prune):
    verb = "volume.prune"
    kinds = (Kind.VOLUME,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSystem(Prune):
    """Removes resources of several kinds, containers first, and the build cache last."""

    verb = "engine.prune"
    kinds = ORDER
    prunes_cache = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneBuildCache(Prune):
    """Removes what builds left behind and no running build uses."""

    verb = "engine.prune-cache"
    prunes_cache = True


PRUNES: tuple[type[Prune], ...] = (
    PruneContainers,
    PruneImages,
    PruneNetworks,
    PruneVolumes,
    PruneSystem,
    PruneBuildCache,
)
REMOVALS: Mapping[Kind, str] = {
    Kind.CONTAINER: "container.remove",
    Kind.NETWORK: "network.remove",
    Kind.VOLUME: "volume.remove",
    Kind.IMAGE: "image.remove",
}
"""The verb that a prune does to each resource of a kind."""


def choose(
    rows: Sequence[UnusedResource], kinds: Collection[Kind], *, everything: Collection[Kind] = ()
) -> tuple[UnusedResource, ...]:
    """Returns what a prune of these kinds removes, in the order of the removal. What a stopped container uses goes only
    if that container goes, too. `everything`: the kinds of which also named volumes and images with tags go."""
    going = {row.ref.id for row in rows if row.ref.kind is Kind.CONTAINER and row.ref.kind in kinds}
    return tuple(
        row
        for kind in ORDER
        if kind in kinds
        for row in sorted(rows, key=lambda row: row.ref.name)
        if row.ref.kind is kind and (row.spare or kind in everything) and going.issuperset(row.users)
    )


def why_kept(pinned: UnusedResource, now: UnusedResource | None) -> str:
    """Returns why a pinned resource is not removed any more, as the end of a sentence about it; empty if it is. `now`:
    the same id in a new list; None if it is not unused any more, or gone."""
    if now is None:
        return "is used now, or is gone"
    if now.users:
        return "is used by a stopped container"
    if set(now.names) != set(pinned.names):
        return "has other names now"
    if pinned.ref.kind is Kind.VOLUME and now.created_at != pinned.created_at:
        return "was created again"
    return ""
