"""Measures the disk use of a Docker daemon: layers, volumes, build cache, and what containers wrote.

The daemon walks through the volumes and the containers' layers for it, which may take minutes. Older daemons refuse a
second measurement while one is running.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence

import msgspec

from core.model.disk_use import DataRoot, DiskUse, ReadDiskUse
from runtimes.base.base_adapter import does
from runtimes.docker.client import EngineClient
from runtimes.formats import json_decoder, json_field_types


class DiskUseVerbs(EngineClient, abc.ABC):
    """Serves the verb that measures the disk use, for Docker."""

    @property
    def data_root(self) -> DataRoot | None:
        endpoint, path = self._http.endpoint, self._info.root
        return DataRoot(path=path, socket=endpoint.path) if path and endpoint.scheme == "unix" else None

    @does(ReadDiskUse)
    async def read_disk_use(self, action: ReadDiskUse, seconds: float) -> DiskUse:
        response = await self._request("GET", "/system/df", seconds)
        return decode(json_decoder.decode_json(Report, response.body, self.skipped))


class _Container(msgspec.Struct):
    written: json_field_types.Int64 = msgspec.field(name="SizeRw", default=0)


class _VolumeUsage(msgspec.Struct):
    """Both are -1 if the daemon does not know them, such as for a volume of a plug-in."""

    size: json_field_types.Int64 = msgspec.field(name="Size", default=-1)
    users: json_field_types.Int64 = msgspec.field(name="RefCount", default=-1)


class _Volume(msgspec.Struct):
    usage: _VolumeUsage | None = msgspec.field(name="UsageData", default=None)


class _BuildRecord(msgspec.Struct):
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)
    shared: bool = msgspec.field(name="Shared", default=False)


class Report(msgspec.Struct):
    """Models the answer to `/system/df`."""

    layers: json_field_types.Int64 | None = msgspec.field(name="LayersSize", default=None)
    containers: list[_Container] | None = msgspec.field(name="Containers", default=None)
    volumes: list[_Volume] | None = msgspec.field(name="Volumes", default=None)
    build: list[_BuildRecord] | None = msgspec.field(name="BuildCache", default=None)


def decode(report: Report) -> DiskUse:
    usages = [volume.usage or _VolumeUsage() for volume in report.volumes or ()]
    return DiskUse(
        images=None if report.layers is None else max(0, report.layers),
        volumes=_known_sum([usage.size for usage in usages]),
        unused_volumes=sum(usage.users == 0 for usage in usages),
        # As the docker command counts it: a shared record is a part of another one.
        build_cache=sum(max(0, record.size) for record in report.build or () if not record.shared),
        writable=sum(max(0, container.written) for container in report.containers or ()),
    )


def _known_sum(sizes: Sequence[int]) -> int | None:
    """None if there are volumes and the size of none of them is known."""
    known: Iterable[int] = [size for size in sizes if size >= 0]
    return sum(known) if known or not sizes else None
