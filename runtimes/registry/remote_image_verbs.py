"""Serves the verbs that read from registries: one shows an image, the other finds the running containers whose image is
out of date.

The requests come from Quarterdeck's own process, not from the engine, with the login of Quarterdeck's host. A container
is out of date if the tag that it was started from points to another image now. The digests of the engine's own image
list are compared with the registry's. First the digest of the tag is compared. If it differs, the digests of the images
of each platform are compared too, because some engines store only the digest of their own platform.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from core import errors
from core.model import image_names, images, registry_reads
from core.model.actions import ListContainers
from core.model.containers import LIVE_STATES, Container
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS, IdentifyingAdapter
from runtimes.registry.registry_client import RegistryClient

LIST_SECONDS = 20.0
MAX_IMAGES = 300  # that one comparison asks registries for
CONCURRENT = 6
SHORT_ID = 12  # digits


class RemoteImageVerbs(IdentifyingAdapter):
    """Serves the verbs for an engine that lists containers and images."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS, **more: Any) -> None:
        super().__init__(url, options, **more)
        self.registry = RegistryClient(self.logins, options.registries)

    @does(registry_reads.InspectRemoteImage)
    async def inspect_remote_image(
        self, action: registry_reads.InspectRemoteImage, seconds: float
    ) -> registry_reads.RemoteImage:
        return await self.registry.inspect(action.image, action.platform)

    @does(registry_reads.FindOutdated)
    async def find_outdated(self, action: registry_reads.FindOutdated, seconds: float) -> registry_reads.ImageAges:
        ends = time.monotonic() + seconds - 2.0
        listed, known = await asyncio.gather(
            self._read_list(ListContainers(engine=self.ref)), self._read_list(images.ListImages(engine=self.ref))
        )
        running: Sequence[Container] = [
            row for row in listed.rows if row.state in LIVE_STATES and (not action.only or row.ref.id in action.only)
        ]
        known_images = _KnownImages(known.rows)
        pairs = list(dict.fromkeys((row.image, row.image_id) for row in running))[:MAX_IMAGES]

        async def one(pair: tuple[str, str]) -> _Comparison:
            image, tagged = known_images.find(*pair), known_images.find(pair[0], "")
            return await self._compare(pair[0], image, tagged, ends, pinned=bool(pair[1]))

        found = dict(zip(pairs, await map_concurrently(one, pairs, limit=CONCURRENT), strict=True))
        left_out = _Comparison(reason=f"only {MAX_IMAGES} images are compared at once")
        rows = [(row, found.get((row.image, row.image_id), left_out)) for row in running]
        return registry_reads.ImageAges(
            rows=tuple(
                registry_reads.ImageAge(
                    ref=row.ref, image=row.image, state=one.state, local=one.local, remote=one.remote, reason=one.reason
                )
                for row, one in rows
            )
        )

    async def _read_list(self, action: Any) -> Any:
        return await getattr(self, self._table[type(action)])(action, LIST_SECONDS)

    async def _compare(
        self, name: str, image: images.Image | None, tagged: images.Image | None, ends: float, *, pinned: bool
    ) -> _Comparison:
        """Never raises an error of the registry. `image`: that of the container; if it is not `pinned`, it only has the
        same name. `tagged`: the image that has the tag on the engine now."""
        if "@" in name:
            return _Comparison(reason="it is pinned to a digest")
        if (
            image is None
            or name.startswith("sha256:")
            or (len(name) >= SHORT_ID and image.ref.bare_id.startswith(name))
        ):
            return _Comparison(reason="the engine does not know the tag that it was started from")
        own = digests_of(image, name)
        # Podman forgets the digest of an image that has lost its tag: then it is compared by what has the tag now.
        moved = not own and tagged is not None and tagged.ref.bare_id != image.ref.bare_id
        local = digests_of(tagged, name) if tagged is not None and moved else own
        if not local:
            return _Comparison(reason="its image was not pulled: it was built on the engine, or loaded from a file")
        try:
            async with asyncio.timeout(ends - time.monotonic()):
                remote = await self.registry.digests(name)
                if remote.digest not in local:
                    remote = await self.registry.digests(name, members=True)
        except TimeoutError:
            return _Comparison(local=local[0], reason="the registry did not answer in time")
        except errors.QuarterdeckError as error:
            return _Comparison(local=local[0], reason=error.full_message())
        same = remote.digest in local or not (remote.platform_digests or frozenset()).isdisjoint(local)
        if moved:
            if same:
                return _Comparison(state=registry_reads.BEHIND, remote=remote.digest)
            return _Comparison(remote=remote.digest, reason="its image has lost its tag and its digest on the engine")
        if not same:
            return _Comparison(state=registry_reads.BEHIND, local=local[0], remote=remote.digest)
        if not pinned:
            return _Comparison(
                local=local[0],
                remote=remote.digest,
                reason="the engine has the newest image, but does not say whether the container was made of it",
            )
        return _Comparison(state=registry_reads.CURRENT, local=local[0], remote=remote.digest)


class _Comparison(msgspec.Struct, frozen=True):
    state: str = registry_reads.UNKNOWN
    local: str = ""
    remote: str = ""
    reason: str = ""


def digests_of(image: images.Image, name: str) -> list[str]:
    """Returns the digests under which an image was pulled from the repository of `name`."""
    wanted = image_names.normalise_image_name(image_names.split_tag(image_names.with_default_tag(name))[0])
    found = []
    for one in image.digests:
        repository, at, digest = one.partition("@")
        if at and image_names.normalise_image_name(repository) == wanted:
            found.append(digest)
    return found


class _KnownImages:
    """Finds the image of a container: by its id or by its digest, which some engines report as the image's id; without
    an id by its name."""

    def __init__(self, rows: Sequence[images.Image]) -> None:
        self._by_id: dict[str, images.Image] = {}
        self._by_name: dict[str, images.Image] = {}
        for row in rows:
            self._by_name |= {image_names.normalise_image_name(tag): row for tag in row.tags}
            self._by_id |= {digest.rpartition("@sha256:")[2]: row for digest in row.digests}
        self._by_id |= {row.ref.bare_id: row for row in rows}

    def find(self, name: str, image_id: str) -> images.Image | None:
        if image_id:
            return self._by_id.get(image_id.rpartition("@")[2].removeprefix("sha256:"))
        return self._by_name.get(image_names.normalise_image_name(image_names.with_default_tag(name)))
