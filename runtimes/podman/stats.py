"""Reads the resource usage of Podman's containers.

Podman's own CPU percentage is the average since the container's start. Instead, this module computes it between two
readings, so the first reading of a container has no CPU percentage.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Collection, Mapping, Sequence

import msgspec

from core import errors
from core.model.refs import Ref
from core.model.resource_usage import ReadUsage, Usage, Usages
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.docker_like.client import quoted_id
from runtimes.formats import json_decoder, json_field_types
from runtimes.podman.client import EngineClient
from runtimes.podman.info import NO_CGROUPS

PAUSE_SECONDS = 0.5  # between the two first readings


class StatsVerbs(EngineClient, abc.ABC):
    """Serves the verb that reads the resource usage of containers."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._meter = CpuPercentMeter()

    @does(ReadUsage)
    async def read_usage(self, action: ReadUsage, seconds: float) -> Usages:
        info = await self._engine_info(seconds)
        if not info.has_cgroups:
            return Usages(rows=(), missing=NO_CGROUPS)
        running = [row.ref for row in await self._containers(seconds) if row.state == "running"]
        wanted = {ref.id: ref for ref in running if not action.only or ref.id in action.only}
        if not wanted:
            return Usages(rows=())
        if not self._meter.has_readings(wanted):
            self._meter.read(await self._ask_stats(tuple(wanted.values()), seconds), wanted, info.host.memory)
            await asyncio.sleep(PAUSE_SECONDS)
        rows = self._meter.read(await self._ask_stats(tuple(wanted.values()), seconds), wanted, info.host.memory)
        gone = len(wanted) - len(rows)
        return Usages(rows=rows, missing=f"{gone} ended while they were read." if gone else "")

    async def _ask_stats(self, refs: Sequence[Ref], seconds: float) -> bytes:
        query = "&".join(f"containers={quoted_id(ref)}" for ref in refs)
        try:
            return (await self._request("GET", f"/containers/stats?stream=false&{query}", seconds)).body
        except errors.NotFound:
            # One of them was removed since the list; without ids, Podman reports all that exist.
            return (await self._request("GET", "/containers/stats?stream=false", seconds)).body


class _NetworkTraffic(msgspec.Struct, gc=False):
    received: json_field_types.Int64 = msgspec.field(name="RxBytes", default=0)
    sent: json_field_types.Int64 = msgspec.field(name="TxBytes", default=0)


class _Stats(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="ContainerID", default="")
    cpu: json_field_types.Int64 = msgspec.field(name="CPUNano", default=0)
    at: json_field_types.Int64 = msgspec.field(name="SystemNano", default=0)
    memory: json_field_types.Int64 = msgspec.field(name="MemUsage", default=0)
    limit: json_field_types.Int64 = msgspec.field(name="MemLimit", default=0)
    received: json_field_types.Int64 | None = msgspec.field(name="NetInput", default=None)
    sent: json_field_types.Int64 | None = msgspec.field(name="NetOutput", default=None)
    read: json_field_types.Int64 | None = msgspec.field(name="BlockInput", default=None)
    written: json_field_types.Int64 | None = msgspec.field(name="BlockOutput", default=None)
    processes: json_field_types.Int64 | None = msgspec.field(name="PIDs", default=None)
    networks: dict[str, _NetworkTraffic] | None = msgspec.field(name="Network", default=None)

    def traffic(self) -> tuple[int | None, int | None]:
        """Bytes received and sent: one sum up to Podman 4, one per interface since 5."""
        if self.networks is None:
            return self.received, self.sent
        interfaces = self.networks.values()
        return sum(one.received for one in interfaces), sum(one.sent for one in interfaces)


class _Answer(msgspec.Struct):
    rows: list[_Stats] | None = msgspec.field(name="Stats", default=None)


class CpuPercentMeter:
    """Stores the last reading of each running container, to compute the next CPU percentage."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}  # CPU time and time of the reading, both in ns, by container

    def has_readings(self, container_ids: Collection[str]) -> bool:
        return all(container_id in self._last for container_id in container_ids)

    def read(self, body: bytes, wanted: Mapping[str, Ref], host_memory: int) -> tuple[Usage, ...]:
        """`host_memory`: bytes of memory of the host, which Podman sends as the limit of a container without one; 0 if
        unknown."""
        now = {row.id: row for row in json_decoder.decode_json(_Answer, body).rows or () if row.id in wanted and row.at}
        found = tuple(self._usage(wanted[container_id], row, host_memory) for container_id, row in now.items())
        self._last = {container_id: (row.cpu, row.at) for container_id, row in now.items()}
        return found

    def _usage(self, ref: Ref, row: _Stats, host_memory: int) -> Usage:
        cpu, at = self._last.get(row.id, (0, 0))
        passed = row.at - at
        percent = (row.cpu - cpu) / passed * 100 if at and passed > 0 and row.cpu >= cpu else None
        received, sent = row.traffic()
        return Usage(
            ref=ref,
            cpu_percent=percent,
            cpu_seconds=row.cpu / 1e9,
            memory=row.memory,
            memory_limit=row.limit if 0 < row.limit < (host_memory or row.limit + 1) else None,
            network_received=received,
            network_sent=sent,
            block_read=row.read,
            block_written=row.written,
            processes=row.processes,
        )
