"""Measures the disk use of a CRI engine: the file system of its images, and that of its containers if it is another
one."""

from __future__ import annotations

from collections.abc import Iterable

from core.model.disk_use import DataRoot, DiskUse, ReadDiskUse
from runtimes.base.base_adapter import does
from runtimes.cri.client import CriEngineClient
from runtimes.proto import cri_pb2 as cri


class DiskUseVerbs(CriEngineClient):
    """Serves the verb that measures the disk use, for CRI engines."""

    _mountpoint = ""

    @property
    def data_root(self) -> DataRoot | None:
        """Known after the first measurement."""
        return DataRoot(path=self._mountpoint, socket=self._channel.endpoint.path) if self._mountpoint else None

    @does(ReadDiskUse)
    async def read_disk_use(self, action: ReadDiskUse, seconds: float) -> DiskUse:
        found = await self._request("ImageFsInfo", cri.ImageFsInfoRequest(), cri.ImageFsInfoResponse, seconds)
        self._mountpoint = next((usage.fs_id.mountpoint for usage in found.image_filesystems), "")
        return decode(found)


def decode(found: cri.ImageFsInfoResponse) -> DiskUse:
    """containerd and CRI-O usually store both in one file system, and report its usage twice: then it counts as the
    images'."""
    images = {usage.fs_id.mountpoint for usage in found.image_filesystems}
    others = [usage for usage in found.container_filesystems if usage.fs_id.mountpoint not in images]
    return DiskUse(images=_used(found.image_filesystems), writable=_used(others))


def _used(usages: Iterable[cri.FilesystemUsage]) -> int | None:
    known = [usage.used_bytes.value for usage in usages if usage.HasField("used_bytes")]
    return sum(known) if known else None
