"""What the engine in memory does not use: stopped containers, and what no running container of it uses."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from core.model import containers, images, networks_and_volumes, prune
from core.model.background_jobs import JobStarted
from core.model.refs import Kind
from runtimes.base.base_adapter import does
from runtimes.base.prune import PruneVerbs
from tests.fake_engine.users import Users


class UnusedThings(Users, PruneVerbs):
    """What a prune finds. `measures`: whether sizes are known."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.measures = True
        self.cache: tuple[prune.CacheRecord, ...] = ()

    async def _unused(self, kinds: Collection[Kind], seconds: float, *, measured: bool) -> prune.UnusedResources:
        await self._answer("unused", seconds)
        lists = {
            Kind.NETWORK: networks_and_volumes.ListNetworks,
            Kind.VOLUME: networks_and_volumes.ListVolumes,
            Kind.IMAGE: images.ListImages,
        }
        rows = []
        if Kind.CONTAINER in kinds:
            rows += [
                prune.UnusedResource(ref=row.ref, size=1_000, created_at=row.created_at, detail=row.state)
                for row in self.containers.values()
                if row.state not in containers.LIVE_STATES
            ]
        for kind, action in lists.items():
            if kind not in kinds:
                continue
            listed = await getattr(self, self._table[action])(action(engine=self.ref), seconds)
            rows += [found for row in listed.rows if (found := self._candidate(kind, row)) is not None]
        known = measured and self.measures
        return prune.UnusedResources(rows=tuple(rows), measured=known, cache=self.cache if known else ())

    @does(prune.PruneBuildCache)
    async def prune_build_cache(self, action: prune.PruneBuildCache, seconds: float) -> JobStarted:
        return self._start_prune(action)

    async def _remove_cache(self, action: prune.Prune, seconds: float) -> int:
        await self._answer("change", seconds)
        gone = [record for record in self.cache if record.used_at <= action.cache_used_before]
        self.cache = tuple(record for record in self.cache if record not in gone)
        return sum(record.size for record in gone)

    def _candidate(self, kind: Kind, row: Any) -> prune.UnusedResource | None:
        users = [
            one
            for one in self.containers.values()
            if (one.image_id == row.ref.id if kind is Kind.IMAGE else row.ref.name in self.mounts.get(one.ref.id, ()))
        ]
        if any(one.state in containers.LIVE_STATES for one in users) or row.ref.name == "bridge":
            return None
        spare = {Kind.IMAGE: not getattr(row, "tags", ()), Kind.VOLUME: len(row.ref.name) == 64}.get(kind, True)
        return prune.UnusedResource(
            ref=row.ref,
            users=tuple(one.ref.id for one in users),
            spare=spare,
            size=getattr(row, "size", 2_000),
            created_at=getattr(row, "created_at", 1.0),
            names=getattr(row, "tags", ()),
            detail="" if spare else "named",
        )
