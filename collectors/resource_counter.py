"""Counts the images, volumes and networks of each engine from time to time, and stores the numbers in its mirror."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from collectors import engine_polling
from core.model.disk_use import ResourceCounts
from core.model.images import ListImages
from core.model.networks_and_volumes import ListNetworks, ListVolumes
from runtimes.inventory.mirror import Mirror

INTERVAL_SECONDS = 300.0
TIMEOUT_SECONDS = 30.0
VERBS = (ListImages.verb, ListVolumes.verb, ListNetworks.verb)


class ResourceCounter:
    """Counts the resources of engines that were not counted for INTERVAL_SECONDS."""

    def __init__(self, mirrors: Callable[[], Sequence[Mirror]], *, now: Callable[[], float] = time.time) -> None:
        self._mirrors = mirrors
        self._now = now

    async def run(self) -> engine_polling.PollingRound:
        now = self._now()
        known = {id(mirror): mirror for verb in VERBS for mirror in engine_polling.answering(self._mirrors(), verb)}
        due = [each for each in known.values() if not 0 <= now - each.resources.counts_at < INTERVAL_SECONDS]
        return await engine_polling.ask_each(due, self._count, seconds=TIMEOUT_SECONDS)

    async def _count(self, mirror: Mirror) -> None:
        call = engine_polling.call_within(TIMEOUT_SECONDS, "counts")
        images = dangling = volumes = networks = None
        if ListImages.verb in mirror.verbs:
            rows = (await mirror.run(ListImages(engine=mirror.ref), call)).rows
            images, dangling = len(rows), sum(not row.tags for row in rows)
        if ListVolumes.verb in mirror.verbs:
            volumes = len((await mirror.run(ListVolumes(engine=mirror.ref), call)).rows)
        if ListNetworks.verb in mirror.verbs:
            networks = len((await mirror.run(ListNetworks(engine=mirror.ref), call)).rows)
        mirror.resources.counts = ResourceCounts(
            images=images, dangling_images=dangling, volumes=volumes, networks=networks
        )
        mirror.resources.counts_at = self._now()
