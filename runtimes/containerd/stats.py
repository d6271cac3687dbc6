"""What containers of containerd use: from the kernel where their processes are this machine's, else from the metrics of
their tasks, which are a control group's, version 1 or 2."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from core.model.refs import Ref
from core.model.usage import Usage
from runtimes.containerd import decode
from runtimes.containerd.client import Calls
from runtimes.kernel import cgroup_reader
from runtimes.proto import containerd_cgroup1_pb2, containerd_cgroup2_pb2, containerd_types_pb2

UNLIMITED = 1 << 60  # the kernel's word for no limit is near the largest number there is


class Meter:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        # Ids are no names of cgroups here; the processes were told a moment ago, by a daemon that counts as we do.
        self._reader = cgroup_reader.Reader(named_by_id=False)
        self._shares = cgroup_reader.CpuPercent()

    def close(self) -> None:
        self._reader.close()

    async def read(self, running: Mapping[Ref, int], seconds: float, *, here: bool) -> Sequence[Usage]:
        """Of each container, by the process of its task; `here`: these are numbers of processes of this machine."""
        ends = time.monotonic() + seconds
        found: dict[Ref, Usage] = {}
        if here:
            found = {row.ref: row for row in (await self._reader.read(running)).rows}
        if away := [ref for ref in running if ref not in found]:
            told = await self._asked(away, seconds)
            first = [ref for ref in told if told[ref].cpu_percent is None]
            if first and ends - time.monotonic() > 2 * cgroup_reader.FIRST_PAUSE:
                await asyncio.sleep(cgroup_reader.FIRST_PAUSE)
                told |= await self._asked(first, ends - time.monotonic())
            found |= told
        return [found[ref] for ref in running if ref in found]

    async def _asked(self, refs: Sequence[Ref], seconds: float) -> dict[Ref, Usage]:
        """From the daemon, which tells of a whole namespace at once."""
        spaces = sorted({decode.split(ref.id)[0] for ref in refs})
        wanted = {ref.id: ref for ref in refs}
        told = await asyncio.gather(*(self._calls.metrics(space, seconds) for space in spaces))
        now = time.monotonic()
        self._shares.forget_old(now)
        found = {}
        for space, metrics in zip(spaces, told, strict=True):
            for metric in metrics:
                ref = wanted.get(f"{space}/{metric.id}")
                if ref is not None:
                    found[ref] = read(ref, metric, self._shares, now)
        return found


def read(ref: Ref, metric: containerd_types_pb2.Metric, shares: cgroup_reader.CpuPercent, now: float) -> Usage:
    """What a metric tells; nothing of one of an unknown kind. `now`: seconds of a clock that never goes back."""
    kind = metric.data.type_url.rpartition("/")[2]
    try:
        if kind == "io.containerd.cgroups.v1.Metrics":
            return _v1(ref, containerd_cgroup1_pb2.Metrics.FromString(metric.data.value), shares, now)
        if kind == "io.containerd.cgroups.v2.Metrics":
            return _v2(ref, containerd_cgroup2_pb2.Metrics.FromString(metric.data.value), shares, now)
    except DecodeError:
        pass
    return Usage(ref=ref)


def _v1(ref: Ref, told: containerd_cgroup1_pb2.Metrics, shares: cgroup_reader.CpuPercent, now: float) -> Usage:
    used = told.cpu.usage.total / 1e9 if told.HasField("cpu") else None
    memory = told.memory
    # What is moved counts once as Read or Write and once more as Sync, Async and Total.
    moved = {"read": 0, "write": 0}
    for entry in told.blkio.io_service_bytes_recursive:
        if entry.op.lower() in moved:
            moved[entry.op.lower()] += entry.value
    return Usage(
        ref=ref,
        cpu_percent=None if used is None else shares.percent(ref.id, now, used),
        cpu_seconds=used,
        memory=max(0, memory.usage.usage - memory.total_inactive_file) if told.HasField("memory") else None,
        memory_limit=_limit(memory.usage.limit),
        network_received=sum(one.rx_bytes for one in told.network) if told.network else None,
        network_sent=sum(one.tx_bytes for one in told.network) if told.network else None,
        block_read=moved["read"] if told.HasField("blkio") else None,
        block_written=moved["write"] if told.HasField("blkio") else None,
        processes=told.pids.current if told.HasField("pids") else None,
    )


def _v2(ref: Ref, told: containerd_cgroup2_pb2.Metrics, shares: cgroup_reader.CpuPercent, now: float) -> Usage:
    used = told.cpu.usage_usec / 1e6 if told.HasField("cpu") else None
    return Usage(
        ref=ref,
        cpu_percent=None if used is None else shares.percent(ref.id, now, used),
        cpu_seconds=used,
        memory=max(0, told.memory.usage - told.memory.inactive_file) if told.HasField("memory") else None,
        memory_limit=_limit(told.memory.usage_limit),
        network_received=sum(one.rx_bytes for one in told.network) if told.network else None,
        network_sent=sum(one.tx_bytes for one in told.network) if told.network else None,
        block_read=sum(entry.rbytes for entry in told.io.usage) if told.HasField("io") else None,
        block_written=sum(entry.wbytes for entry in told.io.usage) if told.HasField("io") else None,
        processes=told.pids.current if told.HasField("pids") else None,
    )


def _limit(value: int) -> int | None:
    return value if 0 < value < UNLIMITED else None
