"""Measures the disk use of containerd: the content store and the snapshots, in all namespaces whose containers
Quarterdeck lists.

Images are the blobs of the content store, which several namespaces may share, and the committed snapshots, which are
the unpacked layers. Active snapshots are what containers wrote. The snapshots of one snapshotter are measured a few at
a time. A snapshot that is removed meanwhile is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import errors
from core.model.disk_use import DataRoot, DiskUse, ReadDiskUse
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.containerd import client, decode_info
from runtimes.containerd.connection import Connection
from runtimes.proto import containerd_content_pb2, containerd_snapshots_pb2

ACTIVE, COMMITTED = 2, 3  # kinds of snapshots


class DiskUseVerbs(Connection):
    """Serves the verb that measures the disk use, for containerd."""

    @property
    def data_root(self) -> DataRoot | None:
        return DataRoot(path=self._root, socket=self._channel.endpoint.path) if self._root else None

    @does(ReadDiskUse)
    async def read_disk_use(self, action: ReadDiskUse, seconds: float) -> DiskUse:
        await self._identify(seconds)
        found = await self._client.namespaces(seconds)
        namespaces = [namespace.name for namespace in found if namespace.name not in self._excluded]
        snapshotters = decode_info.snapshotters(await self._client.plugins(seconds))
        blobs: dict[str, int] = {}
        sizes = {ACTIVE: 0, COMMITTED: 0}
        for namespace in namespaces:
            blobs |= await self._blob_sizes(namespace, seconds)
            for snapshotter in snapshotters:
                for kind, size in await self._snapshot_sizes(namespace, snapshotter, seconds):
                    sizes[kind] = sizes.get(kind, 0) + size
        return DiskUse(images=sum(blobs.values()) + sizes[COMMITTED], writable=sizes[ACTIVE])

    async def _blob_sizes(self, namespace: str, seconds: float) -> dict[str, int]:
        """Reads the size of each blob of a namespace, by digest."""
        pages = self._client.channel.stream(
            f"{client.CONTENT}List",
            containerd_content_pb2.ListContentRequest(),
            containerd_content_pb2.ListContentResponse,
            metadata=client.namespace_metadata(namespace),
            seconds=seconds,
        )
        return {info.digest: max(0, info.size) async for page in pages for info in page.info}

    async def _snapshot_sizes(self, namespace: str, snapshotter: str, seconds: float) -> Sequence[tuple[int, int]]:
        """Reads the kind and the size of each snapshot of a namespace."""
        metadata = client.namespace_metadata(namespace)
        pages = self._client.channel.stream(
            f"{client.SNAPSHOTS}List",
            containerd_snapshots_pb2.ListSnapshotsRequest(snapshotter=snapshotter),
            containerd_snapshots_pb2.ListSnapshotsResponse,
            metadata=metadata,
            seconds=seconds,
        )
        snapshots = [info async for page in pages for info in page.info]

        async def measure(info: containerd_snapshots_pb2.Info) -> tuple[int, int]:
            request = containerd_snapshots_pb2.UsageRequest(snapshotter=snapshotter, key=info.name)
            response = containerd_snapshots_pb2.UsageResponse
            try:
                usage = await self._client.channel.call(
                    f"{client.SNAPSHOTS}Usage", request, response, seconds=seconds, metadata=metadata
                )
            except errors.NotFound:
                return info.kind, 0
            return info.kind, max(0, usage.size)

        return await map_concurrently(measure, snapshots)
