"""Reads the resource usage of containerd's containers.

If Quarterdeck and the daemon share a PID namespace, usage is read from the kernel's control groups (cgroups). Otherwise
it is decoded from the metrics that the daemon reports about its tasks, in the format of cgroup version 1 or 2.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from core.model.refs import Ref
from core.model.resource_usage import Usage
from runtimes.containerd import decode
from runtimes.containerd.client import Client
from runtimes.kernel import cgroup_reader, cpu_percent
from runtimes.proto import containerd_cgroup1_pb2, containerd_cgroup2_pb2, containerd_types_pb2

NO_LIMIT = 1 << 60  # for "no limit" the kernel reports a number near the largest possible one


class StatsReader:
    """Reads the resource usage of the containers of one engine."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # The names of cgroups here are not container ids, so they are found by the pids of the tasks.
        self._reader = cgroup_reader.CgroupReader(named_by_id=False)
        self._cpu = cpu_percent.CpuPercent()

    def close(self) -> None:
        self._reader.close()

    async def read(self, running: Mapping[Ref, int], seconds: float, *, local_pids: bool) -> Sequence[Usage]:
        """Reads the usage of running containers. `running`: the pid of each container's task. `local_pids`: whether
        these are pids of this process' PID namespace."""
        deadline = time.monotonic() + seconds
        found: dict[Ref, Usage] = {}
        if local_pids:
            found = {row.ref: row for row in (await self._reader.read(running)).rows}
        if missing := [ref for ref in running if ref not in found]:
            usage = await self._read_metrics(missing, seconds)
            first = [ref for ref in usage if usage[ref].cpu_percent is None]
            if first and deadline - time.monotonic() > 2 * cgroup_reader.FIRST_PAUSE:
                # CPU usage needs a second reading.
                await asyncio.sleep(cgroup_reader.FIRST_PAUSE)
                usage |= await self._read_metrics(first, deadline - time.monotonic())
            found |= usage
        return [found[ref] for ref in running if ref in found]

    async def _read_metrics(self, refs: Sequence[Ref], seconds: float) -> dict[Ref, Usage]:
        """Reads usage from the daemon, which reports all tasks of a namespace in one response."""
        namespaces = sorted({decode.split_id(ref.id)[0] for ref in refs})
        wanted = {ref.id: ref for ref in refs}
        responses = await asyncio.gather(*(self._client.metrics(namespace, seconds) for namespace in namespaces))
        now = time.monotonic()
        self._cpu.forget_old(now)
        found = {}
        for namespace, metrics in zip(namespaces, responses, strict=True):
            for metric in metrics:
                ref = wanted.get(f"{namespace}/{metric.id}")
                if ref is not None:
                    found[ref] = decode_metric(ref, metric, self._cpu, now)
        return found


def decode_metric(ref: Ref, metric: containerd_types_pb2.Metric, cpu: cpu_percent.CpuPercent, now: float) -> Usage:
    """Decodes one metric. All fields are None if its format is unknown. `now`: seconds of the monotonic clock."""
    kind = metric.data.type_url.rpartition("/")[2]
    try:
        if kind == "io.containerd.cgroups.v1.Metrics":
            return _v1(ref, containerd_cgroup1_pb2.Metrics.FromString(metric.data.value), cpu, now)
        if kind == "io.containerd.cgroups.v2.Metrics":
            return _v2(ref, containerd_cgroup2_pb2.Metrics.FromString(metric.data.value), cpu, now)
    except DecodeError:
        pass
    return Usage(ref=ref)


def _v1(ref: Ref, metrics: containerd_cgroup1_pb2.Metrics, cpu: cpu_percent.CpuPercent, now: float) -> Usage:
    used = metrics.cpu.usage.total / 1e9 if metrics.HasField("cpu") else None
    memory = metrics.memory
    # Every transfer is counted twice: as Read or Write, and as Sync or Async (and in Total).
    transferred = {"read": 0, "write": 0}
    for entry in metrics.blkio.io_service_bytes_recursive:
        if entry.op.lower() in transferred:
            transferred[entry.op.lower()] += entry.value
    return Usage(
        ref=ref,
        cpu_percent=None if used is None else cpu.percent(ref.id, now, used),
        cpu_seconds=used,
        memory=max(0, memory.usage.usage - memory.total_inactive_file) if metrics.HasField("memory") else None,
        memory_limit=_limit(memory.usage.limit),
        network_received=sum(interface.rx_bytes for interface in metrics.network) if metrics.network else None,
        network_sent=sum(interface.tx_bytes for interface in metrics.network) if metrics.network else None,
        block_read=transferred["read"] if metrics.HasField("blkio") else None,
        block_written=transferred["write"] if metrics.HasField("blkio") else None,
        processes=metrics.pids.current if metrics.HasField("pids") else None,
    )


def _v2(ref: Ref, metrics: containerd_cgroup2_pb2.Metrics, cpu: cpu_percent.CpuPercent, now: float) -> Usage:
    used = metrics.cpu.usage_usec / 1e6 if metrics.HasField("cpu") else None
    return Usage(
        ref=ref,
        cpu_percent=None if used is None else cpu.percent(ref.id, now, used),
        cpu_seconds=used,
        memory=max(0, metrics.memory.usage - metrics.memory.inactive_file) if metrics.HasField("memory") else None,
        memory_limit=_limit(metrics.memory.usage_limit),
        network_received=sum(interface.rx_bytes for interface in metrics.network) if metrics.network else None,
        network_sent=sum(interface.tx_bytes for interface in metrics.network) if metrics.network else None,
        block_read=sum(entry.rbytes for entry in metrics.io.usage) if metrics.HasField("io") else None,
        block_written=sum(entry.wbytes for entry in metrics.io.usage) if metrics.HasField("io") else None,
        processes=metrics.pids.current if metrics.HasField("pids") else None,
    )


def _limit(value: int) -> int | None:
    return value if 0 < value < NO_LIMIT else None
