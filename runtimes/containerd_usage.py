"""What containers use, from the metrics a task gives: its control group's, version 1 or 2. Pure but for the memory of
the reading before, which a percentage needs."""

from __future__ import annotations

from collections import OrderedDict

import msgspec
from google.protobuf.message import DecodeError

from core.model.refs import Ref
from core.model.usage import Usage
from runtimes import procfs
from runtimes.proto import containerd_cgroup1_pb2, containerd_cgroup2_pb2, containerd_types_pb2

REMEMBERED = 4096
UNLIMITED = 1 << 60  # the kernel's word for no limit is near the largest number there is


class Meter:
    def __init__(self) -> None:
        self._before: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def read(self, ref: Ref, metric: containerd_types_pb2.Metric, now: float) -> Usage:
        """`now`: seconds of a clock that never goes back."""
        told = read(ref, metric)
        if told.cpu_seconds is None:
            return told
        before = self._before.pop(ref.id, None)
        self._before[ref.id] = (now, told.cpu_seconds)
        if len(self._before) > REMEMBERED:
            self._before.popitem(last=False)
        if before is None or now <= before[0] or told.cpu_seconds < before[1]:
            return told
        percent = 100 * (told.cpu_seconds - before[1]) / (now - before[0])
        return msgspec.structs.replace(told, cpu_percent=percent)


def read(ref: Ref, metric: containerd_types_pb2.Metric) -> Usage:
    """What a metric tells; nothing of one of an unknown kind."""
    kind = metric.data.type_url.rpartition("/")[2]
    try:
        if kind == "io.containerd.cgroups.v1.Metrics":
            return _v1(ref, containerd_cgroup1_pb2.Metrics.FromString(metric.data.value))
        if kind == "io.containerd.cgroups.v2.Metrics":
            return _v2(ref, containerd_cgroup2_pb2.Metrics.FromString(metric.data.value))
    except DecodeError:
        pass
    return Usage(ref=ref)


def with_network(told: Usage, pid: int) -> Usage:
    """The network of a container's own, read of its process, where the metric did not tell."""
    if (
        not pid
        or told.network_received is not None
        or procfs.network_namespace(str(pid))
        in (
            None,
            procfs.network_namespace(),
        )
    ):
        return told
    counted = procfs.network(pid)
    if counted is None:
        return told
    return msgspec.structs.replace(told, network_received=counted[0], network_sent=counted[1])


def _v1(ref: Ref, told: containerd_cgroup1_pb2.Metrics) -> Usage:
    memory = told.memory
    # Statistics of every request count once as Read or Write and once more as Sync, Async and Total.
    moved = {"read": 0, "write": 0}
    for entry in told.blkio.io_service_bytes_recursive:
        if entry.op.lower() in moved:
            moved[entry.op.lower()] += entry.value
    received, sent = _network(told.network)
    return Usage(
        ref=ref,
        cpu_seconds=told.cpu.usage.total / 1e9 if told.HasField("cpu") else None,
        memory=max(0, memory.usage.usage - memory.total_inactive_file) if told.HasField("memory") else None,
        memory_limit=_limit(memory.usage.limit),
        network_received=received,
        network_sent=sent,
        block_read=moved["read"] if told.HasField("blkio") else None,
        block_written=moved["write"] if told.HasField("blkio") else None,
        processes=told.pids.current if told.HasField("pids") else None,
    )


def _v2(ref: Ref, told: containerd_cgroup2_pb2.Metrics) -> Usage:
    received, sent = _network(told.network)
    return Usage(
        ref=ref,
        cpu_seconds=told.cpu.usage_usec / 1e6 if told.HasField("cpu") else None,
        memory=max(0, told.memory.usage - told.memory.inactive_file) if told.HasField("memory") else None,
        memory_limit=_limit(told.memory.usage_limit),
        network_received=received,
        network_sent=sent,
        block_read=sum(entry.rbytes for entry in told.io.usage) if told.HasField("io") else None,
        block_written=sum(entry.wbytes for entry in told.io.usage) if told.HasField("io") else None,
        processes=told.pids.current if told.HasField("pids") else None,
    )


def _network(devices: object) -> tuple[int | None, int | None]:
    told = [device for device in devices if device.name != "lo"]  # type: ignore[attr-defined]
    if not told:
        return None, None
    return sum(device.rx_bytes for device in told), sum(device.tx_bytes for device in told)


def _limit(value: int) -> int | None:
    return value if 0 < value < UNLIMITED else None
