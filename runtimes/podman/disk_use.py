"""Measures the disk use of a Podman service: images, volumes, and the data that containers wrote.

Podman has no separate build cache: a build leaves images.
"""

from __future__ import annotations

import abc

import msgspec

from core.model.disk_use import DataRoot, DiskUse, ReadDiskUse
from runtimes.base.base_adapter import does
from runtimes.formats import json_decoder, json_field_types
from runtimes.podman import client


class DiskUseVerbs(client.EngineClient, abc.ABC):
    """Serves the verb that measures the disk use, for Podman."""

    @property
    def data_root(self) -> DataRoot | None:
        path = self._info.store.root
        return DataRoot(path=path, socket=self._http.endpoint.path) if path and self.local else None

    @does(ReadDiskUse)
    async def read_disk_use(self, action: ReadDiskUse, seconds: float) -> DiskUse:
        response = await self._request("GET", "/system/df", seconds)
        return decode(json_decoder.decode_json(Report, response.body, self.skipped))


class _Image(msgspec.Struct):
    """One row for each tag of an image."""

    id: str = msgspec.field(name="ImageID", default="")
    unique: json_field_types.Int64 = msgspec.field(name="UniqueSize", default=0)
    shared: json_field_types.Int64 = msgspec.field(name="SharedSize", default=0)


class _Container(msgspec.Struct):
    written: json_field_types.Int64 = msgspec.field(name="RWSize", default=0)


class _Volume(msgspec.Struct):
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)
    users: json_field_types.Int64 = msgspec.field(name="Links", default=0)


class Report(msgspec.Struct):
    """Models the answer to `/system/df`. Older services do not send `images_size`."""

    images_size: json_field_types.Int64 | None = msgspec.field(name="ImagesSize", default=None)
    images: list[_Image] | None = msgspec.field(name="Images", default=None)
    containers: list[_Container] | None = msgspec.field(name="Containers", default=None)
    volumes: list[_Volume] | None = msgspec.field(name="Volumes", default=None)


def decode(report: Report) -> DiskUse:
    return DiskUse(
        images=_images_size(report),
        volumes=sum(max(0, volume.size) for volume in report.volumes or ()),
        unused_volumes=sum(volume.users == 0 for volume in report.volumes or ()),
        writable=sum(max(0, container.written) for container in report.containers or ()),
    )


def _images_size(report: Report) -> int | None:
    """None for an older service whose images share layers: their sum would count these layers several times."""
    if report.images_size is not None:
        return max(0, report.images_size)
    images = {image.id: image for image in report.images or ()}.values()
    if any(image.shared for image in images):
        return None
    return sum(max(0, image.unique) for image in images)
