"""What the engine in memory finds in registries: `remote` of its images is the registry."""

from __future__ import annotations

import hashlib
from typing import Any

from core import errors
from core.model import image_names, registry_reads
from core.model.containers import LIVE_STATES
from runtimes.base.base_adapter import does
from tests.fake_engine.core import contents
from tests.fake_engine.images import Images


class Registries(Images):
    """`catalogue`: what a search finds, or the error of the registry."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.catalogue: list[registry_reads.FoundImage] | errors.EngineError = [
            registry_reads.FoundImage(name="nginx", description="Official build of Nginx.", stars=20_000, official=True)
        ]

    @does(registry_reads.SearchImages)
    async def search_images(self, action: registry_reads.SearchImages, seconds: float) -> registry_reads.FoundImages:
        await self._answer("search", seconds)
        if isinstance(self.catalogue, errors.EngineError):
            raise self.catalogue
        return registry_reads.FoundImages(rows=tuple(self.catalogue[: action.limit]))

    @does(registry_reads.InspectRemoteImage)
    async def inspect_remote(
        self, action: registry_reads.InspectRemoteImage, seconds: float
    ) -> registry_reads.RemoteImage:
        await self._answer("remote", seconds)
        name = image_names.with_default_tag(action.image)
        return registry_reads.RemoteImage(
            name=image_names.normalise_image_name(name),
            digest=self._remote_digest(name),
            platforms=("linux/amd64", "linux/arm64"),
            platform=action.platform or "linux/amd64",
            platform_digest=_digest(f"{name} on {action.platform}"),
            layers=((_digest(f"layer of {name}"), 4_200_000),),
            created_at=1_704_164_645.0,
            labels=(("made", "here"),),
            command=("/bin/sh",),
            tags=("1", "latest"),
        )

    @does(registry_reads.FindOutdated)
    async def find_outdated(self, action: registry_reads.FindOutdated, seconds: float) -> registry_reads.ImageAges:
        await self._answer("outdated", seconds)
        rows = []
        for row in self.containers.values():
            if row.state not in LIVE_STATES or (action.only and row.ref.id not in action.only):
                continue
            name = image_names.with_default_tag(row.image)
            local, remote = _digest(row.image_id), self._remote_digest(name)
            state = registry_reads.CURRENT if local == remote else registry_reads.BEHIND
            rows.append(registry_reads.ImageAge(ref=row.ref, image=row.image, state=state, local=local, remote=remote))
        return registry_reads.ImageAges(rows=tuple(rows))

    def _remote_digest(self, name: str) -> str:
        thing = self.remote.get(name, contents(name))
        if thing is None:
            raise errors.NotFound(f"docker.io has no image {name}.", hint="Check the spelling.")
        return _digest(thing)


def _digest(thing: str) -> str:
    return "sha256:" + hashlib.sha256(thing.encode()).hexdigest()
