"""Docker's words for images, networks, volumes, use and itself into ours: pure, found by experiment on 20.10 and 26.1
(with both of its image stores).

Newer versions leave fields out (`VirtualSize` from API 1.44 on, `ContainerConfig`, `Parent`): none is read that is not
needed, and each may be missing. Lists may be null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from core import errors
from core.model.images import Image
from core.model.refs import EngineRef, Kind, Ref
from core.model.resources import Network, Volume
from core.model.usage import Usage
from runtimes.formats import decoding, timestamps

NO_NAME = ("<none>:<none>", "<none>@<none>")
NO_LIMIT = 1 << 60
_SHORT = 12


class _Image(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    digests: list[str] | None = msgspec.field(name="RepoDigests", default=None)
    size: int = msgspec.field(name="Size", default=0)
    created: float = msgspec.field(name="Created", default=0)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)
    containers: int = msgspec.field(name="Containers", default=-1)


class _Subnet(msgspec.Struct):
    subnet: str = msgspec.field(name="Subnet", default="")


class _Ipam(msgspec.Struct):
    config: list[_Subnet] | None = msgspec.field(name="Config", default=None)


class _Network(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name", default="")
    driver: str = msgspec.field(name="Driver", default="")
    scope: str = msgspec.field(name="Scope", default="local")
    internal: bool = msgspec.field(name="Internal", default=False)
    ipam: _Ipam | None = msgspec.field(name="IPAM", default=None)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Volume(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    driver: str = msgspec.field(name="Driver", default="")
    place: str = msgspec.field(name="Mountpoint", default="")
    created: str = msgspec.field(name="CreatedAt", default="")
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Volumes(msgspec.Struct):
    volumes: list[_Volume] | None = msgspec.field(name="Volumes", default=None)


class _CpuUsage(msgspec.Struct):
    total: int = msgspec.field(name="total_usage", default=0)


class _Cpu(msgspec.Struct):
    usage: _CpuUsage = msgspec.field(name="cpu_usage", default_factory=_CpuUsage)


class _MemoryParts(msgspec.Struct):
    inactive: int | None = msgspec.field(name="inactive_file", default=None)
    total_inactive: int | None = msgspec.field(name="total_inactive_file", default=None)
    limit: int | None = msgspec.field(name="hierarchical_memory_limit", default=None)


class _Memory(msgspec.Struct):
    usage: int | None = None
    limit: int | None = None
    stats: _MemoryParts | None = None


class _Device(msgspec.Struct):
    received: int = msgspec.field(name="rx_bytes", default=0)
    sent: int = msgspec.field(name="tx_bytes", default=0)


class _Block(msgspec.Struct):
    way: str = msgspec.field(name="op", default="")
    value: int = 0


class _Blocks(msgspec.Struct):
    bytes: list[_Block] | None = msgspec.field(name="io_service_bytes_recursive", default=None)


class _Processes(msgspec.Struct):
    current: int | None = None


class Stats(msgspec.Struct):
    """One answer of `/containers/ID/stats`."""

    cpu: _Cpu = msgspec.field(name="cpu_stats", default_factory=_Cpu)
    memory: _Memory = msgspec.field(name="memory_stats", default_factory=_Memory)
    networks: dict[str, _Device] | None = None
    blocks: _Blocks = msgspec.field(name="blkio_stats", default_factory=_Blocks)
    processes: _Processes = msgspec.field(name="pids_stats", default_factory=_Processes)

    @property
    def cpu_seconds(self) -> float:
        return self.cpu.usage.total / 1e9

    @property
    def ended(self) -> bool:
        """An ended container is answered with zeros."""
        return not self.cpu.usage.total and self.memory.usage is None


def images(engine: EngineRef, body: bytes) -> tuple[Image, ...]:
    return tuple([_image(engine, row) for row in decoding.decode(list[_Image], body)])


def _image(engine: EngineRef, row: _Image) -> Image:
    tags = tuple([tag for tag in row.tags or () if tag not in NO_NAME])
    name = tags[0] if tags else row.id.rpartition(":")[2][:_SHORT]
    return Image(
        ref=Ref(engine=engine, kind=Kind.IMAGE, id=row.id, name=name),
        tags=tags,
        digests=tuple([digest for digest in row.digests or () if digest not in NO_NAME]),
        size=row.size,
        created_at=float(row.created),
        labels=row.labels or {},
        containers=row.containers if row.containers >= 0 else None,
    )


def networks(engine: EngineRef, body: bytes) -> tuple[Network, ...]:
    return tuple(
        [
            Network(
                ref=Ref(engine=engine, kind=Kind.NETWORK, id=row.id, name=row.name),
                driver=row.driver,
                scope=row.scope,
                subnets=tuple([one.subnet for one in (row.ipam and row.ipam.config) or () if one.subnet]),
                internal=row.internal,
                labels=row.labels or {},
            )
            for row in decoding.decode(list[_Network], body)
        ]
    )


def volumes(engine: EngineRef, body: bytes) -> tuple[Volume, ...]:
    return tuple(
        [
            Volume(
                ref=Ref(engine=engine, kind=Kind.VOLUME, id=row.name, name=row.name),
                driver=row.driver,
                place=row.place,
                created_at=_time(row.created),
                labels=row.labels or {},
            )
            for row in decoding.decode(_Volumes, body).volumes or ()
        ]
    )


def usage(ref: Ref, stats: Stats, percent: float | None, machine: int) -> Usage:
    """`machine`: its memory in bytes, which is what Docker calls the limit where there is none."""
    memory, parts = stats.memory.usage, stats.memory.stats or _MemoryParts()
    if memory is not None:
        inactive = parts.total_inactive if parts.total_inactive is not None else parts.inactive
        memory = max(0, memory - (inactive or 0))
    limit = parts.limit if parts.limit is not None else stats.memory.limit
    sums = {"read": 0, "write": 0}
    for block in stats.blocks.bytes or ():
        if (way := block.way.lower()) in sums:
            sums[way] += block.value
    devices = None if stats.networks is None else stats.networks.values()
    return Usage(
        ref=ref,
        cpu_percent=percent,
        cpu_seconds=stats.cpu_seconds,
        memory=memory,
        memory_limit=limit if limit and limit < NO_LIMIT and limit != machine else None,
        network_received=None if devices is None else sum(device.received for device in devices),
        network_sent=None if devices is None else sum(device.sent for device in devices),
        block_read=None if stats.blocks.bytes is None else sums["read"],
        block_written=None if stats.blocks.bytes is None else sums["write"],
        processes=stats.processes.current,
    )


def notes(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What `/info` tells that is no fault and should be known."""
    told = []
    if info.get("LiveRestoreEnabled"):
        told.append("Its containers live on while it is restarted (live-restore).")
    told += _of_swarm(info.get("Swarm") or {})
    told += [str(warning).removeprefix("WARNING: ") for warning in info.get("Warnings") or ()]
    return tuple(told)


def rootless(info: Mapping[str, Any]) -> bool:
    return any("name=rootless" in str(option) for option in info.get("SecurityOptions") or ())


def runtime(info: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    """What runs the containers, with its version where the daemon tells one: `runc 1.1.5`."""
    name = str(info.get("DefaultRuntime") or "")
    told = [part for part in version.get("Components") or () if isinstance(part, dict) and part.get("Name") == name]
    number = str(told[0].get("Version") or "").partition("+")[0] if told else ""
    return f"{name} {number}".strip()


def _time(text: str) -> float:
    # Volumes of plugins tell what the plugin writes.
    try:
        return timestamps.seconds(text) or 0.0
    except errors.InvalidResponse:
        return 0.0


def _of_swarm(swarm: Mapping[str, Any]) -> list[str]:
    state = str(swarm.get("LocalNodeState") or "inactive")
    if state == "inactive":
        return []
    if state == "locked":
        return ["It belongs to a Swarm that is locked: nothing of it runs until somebody unlocks it."]
    said = [f"Its Swarm has a fault: {swarm['Error']}"] if swarm.get("Error") else []
    if state != "active":
        return [f"It belongs to a Swarm; its state there is {state}.", *said]
    if not swarm.get("ControlAvailable"):
        return ["It is a worker of a Swarm.", *said]
    nodes, managers = swarm.get("Nodes") or 1, swarm.get("Managers") or 1
    return [f"It is a manager of a Swarm of {nodes} node{'s' * (nodes != 1)}, {managers} of them managing.", *said]
