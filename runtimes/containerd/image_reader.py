"""Reads containerd's images: their names, and their manifests and configurations from the content store.

A name points to a manifest, or to an index with one manifest per platform. The id of an image is `namespace/digest`,
with the digest of that manifest or index. So several names with the same digest are one image. Sizes, dates and labels
are read once and cached, because the content of a digest never changes.
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from core import errors
from core.model.images import Image
from core.model.refs import EngineRef, Kind, Ref
from runtimes.base.concurrent_map import map_concurrently
from runtimes.containerd import client, decode, image_names, json_models
from runtimes.formats import json_decoder, protobuf_conversion, timestamps

MAX_CACHED = 1024
SHORT_DIGEST = 12
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class ImageReader:
    """Reads the images of one engine, and caches their metadata."""

    def __init__(self, calls: client.Client, engine: EngineRef) -> None:
        self._client = calls
        self._engine = engine
        self._cache: OrderedDict[str, Metadata] = OrderedDict()

    async def rows(self, namespace: str, seconds: float) -> Sequence[Image]:
        """Reads the list of all images of a namespace."""
        found, containers = await asyncio.gather(
            self._client.images(namespace, seconds), self._client.containers(namespace, seconds)
        )
        by_digest: dict[str, list[client.Image]] = {}
        for entry in found:
            by_digest.setdefault(entry.target.digest, []).append(entry)
        used = Counter(
            container.image for container in containers if not decode.is_sandbox(namespace, container.labels)
        )

        async def one(digest: str) -> Image:
            image = StoredImage(namespace, digest, by_digest[digest])
            metadata = await self._metadata(namespace, digest, seconds)
            tags, digests = image_names.tags_and_digests(image.names, digest)
            name = tags[0] if tags else digest.partition(":")[2][:SHORT_DIGEST]
            return Image(
                ref=Ref(engine=self._engine, kind=Kind.IMAGE, id=f"{namespace}/{digest}", name=name),
                tags=tuple(tags),
                digests=tuple(digests),
                size=metadata.size,
                created_at=metadata.created_at
                or protobuf_conversion.timestamp_to_nanoseconds(image.entries[0].created_at) / 1e9,
                labels={**metadata.labels, decode.NAMESPACE_LABEL: namespace},
                containers=sum(used[name] for name in set(image.names)),
            )

        return await map_concurrently(one, by_digest)

    async def find(self, target: Ref, seconds: float) -> StoredImage:
        """Reads one image. Raises NotFound."""
        namespace, digest = decode.split_id(target.id)
        entries = [image for image in await self._client.images(namespace, seconds) if image.target.digest == digest]
        if not (namespace and entries):
            raise client.gone(target)
        return StoredImage(namespace, digest, entries)

    async def document(self, target: Ref, seconds: float) -> dict[str, Any]:
        """Reads all that containerd stores about an image, for `inspect`."""
        image = await self.find(target, seconds)
        manifest = await self._manifest(image.namespace, image.digest, seconds)
        config: Any = None
        if manifest.config is not None:
            config = json_decoder.decode_json_object(
                await self._client.blob(image.namespace, manifest.config.digest, seconds)
            )
        first = image.entries[0]
        return {
            "namespace": image.namespace,
            "names": image.names,
            "target": {"digest": image.digest, "mediaType": first.target.media_type, "size": first.target.size},
            "labels": {key: value for entry in image.entries for key, value in entry.labels.items()},
            "manifest": msgspec.to_builtins(manifest),
            "image": config,
        }

    async def _metadata(self, namespace: str, digest: str, seconds: float) -> Metadata:
        metadata = self._cache.get(digest)
        if metadata is None:
            try:
                metadata = await self._read_metadata(namespace, digest, seconds)
            except (errors.NotFound, errors.InvalidResponse, errors.Rejected):
                return Metadata()  # pulled incompletely; it may be complete next time
            self._cache[digest] = metadata
            if len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
        return metadata

    async def _read_metadata(self, namespace: str, digest: str, seconds: float) -> Metadata:
        manifest = await self._manifest(namespace, digest, seconds)
        if manifest.config is None:
            return Metadata(size=sum(layer.size for layer in manifest.layers))
        blob = await self._client.blob(namespace, manifest.config.digest, seconds)
        config = json_decoder.decode_json(json_models.ImageConfig, blob)
        return Metadata(
            size=manifest.config.size + sum(layer.size for layer in manifest.layers),
            created_at=timestamps.parse_seconds(config.created) or 0.0,
            labels=(config.config.labels if config.config else None) or {},
        )

    async def _manifest(self, namespace: str, digest: str, seconds: float) -> json_models.Manifest:
        """Reads a manifest. For an index, this reads the manifest of this machine's platform, or of any other platform
        if that one is not stored. Returns the index itself if no manifest is stored: an index also lists platforms that
        nobody pulled."""
        manifest = json_decoder.decode_json(json_models.Manifest, await self._client.blob(namespace, digest, seconds))
        own = [part for part in manifest.manifests if part.platform and part.platform.architecture == architecture()]
        for part in [*own, *manifest.manifests]:
            try:
                return json_decoder.decode_json(
                    json_models.Manifest, await self._client.blob(namespace, part.digest, seconds)
                )
            except errors.NotFound:
                continue
        return manifest


class StoredImage(msgspec.Struct, frozen=True):
    """Describes one image. `entries`: containerd's record of each of its names."""

    namespace: str
    digest: str
    entries: Sequence[client.Image]

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.entries]


class Metadata(msgspec.Struct):
    """Holds what the manifest and the configuration contain. `size`: compressed bytes; `created_at`: unix seconds."""

    size: int = 0
    created_at: float = 0.0
    labels: dict[str, str] = {}


def architecture() -> str:
    """Returns this machine's architecture by its name in image manifests."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)
