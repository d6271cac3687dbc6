"""Decodes the resource usage of CRI containers. Each response of the engine contains all containers.

CPU usage is the difference between this response and the one before it. The engine's own value, `usage_nano_cores`, is
not used: it is 0 or absent at first, and covers the time since the last request of any client, usually the kubelet. CRI
reports network and block I/O only for pods, and not on every engine. So both are left unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from core.model.resource_usage import Usage, Usages
from runtimes.cri.decode import RUNNING
from runtimes.cri.snapshot import Snapshot
from runtimes.proto import cri_pb2 as cri

MIN_INTERVAL_NS = 250_000_000  # between two readings that can be compared
UNLIMITED_BYTES = 1 << 60  # no machine has that much

CpuReading = tuple[int, int]
"""Nanoseconds: when it was taken, and the CPU time used until then."""


class UsageDecoder:
    """Decodes the usage of one engine's containers. It stores each container's CPU reading, to compare it with the next
    one."""

    def __init__(self) -> None:
        self._previous: dict[str, CpuReading] = {}

    def begin(self, snapshot: Snapshot, stats: Iterable[cri.ContainerStats]) -> bool:
        """Stores the very first CPU readings. Returns False if it already has readings."""
        if self._previous:
            return False
        self._previous = {one.attributes.id: _cpu(one) for one in _running(snapshot, stats)}
        return bool(self._previous)

    def decode(self, snapshot: Snapshot, stats: Iterable[cri.ContainerStats], only: Collection[str]) -> Usages:
        """Decodes one response. `only`: ids of containers; empty for all running containers."""
        rows, readings = [], {}
        running = {container_id for container_id, record in snapshot.containers.items() if record.state == RUNNING}
        wanted = running & set(only) if only else running
        for one in _running(snapshot, stats):
            container_id = one.attributes.id
            percent, readings[container_id] = self._percent(container_id, one)
            if container_id not in wanted:
                continue
            memory, limit = _memory(one.memory)
            rows.append(
                Usage(
                    ref=snapshot.ref(snapshot.containers[container_id]),
                    cpu_percent=percent,
                    cpu_seconds=_cpu(one)[1] / 1e9 if one.HasField("cpu") else None,
                    memory=memory,
                    memory_limit=limit,
                )
            )
        self._previous = readings
        absent = len(wanted) - len(rows)
        missing = f"The engine reported no usage of {absent} running container{'s' if absent > 1 else ''}."
        return Usages(rows=tuple(rows), missing=missing if absent else "")

    def _percent(self, container_id: str, stats: cri.ContainerStats) -> tuple[float | None, CpuReading]:
        """Returns the CPU usage, and the reading to compare the next one with."""
        now = _cpu(stats)
        before = self._previous.get(container_id, now)
        passed, used = now[0] - before[0], now[1] - before[1]
        if passed >= MIN_INTERVAL_NS and used >= 0:
            return 100.0 * used / passed, now
        reported = stats.cpu.usage_nano_cores.value
        percent = reported / 1e7 if reported else 100.0 * used / passed if passed > 0 and used >= 0 else None
        return percent, before if passed >= 0 else now


def _running(snapshot: Snapshot, stats: Iterable[cri.ContainerStats]) -> Iterator[cri.ContainerStats]:
    for one in stats:
        record = snapshot.containers.get(one.attributes.id)
        if record is not None and record.state == RUNNING and (one.HasField("cpu") or one.HasField("memory")):
            yield one


def _cpu(stats: cri.ContainerStats) -> CpuReading:
    return stats.cpu.timestamp, stats.cpu.usage_core_nano_seconds.value


def _memory(memory: cri.MemoryUsage) -> tuple[int | None, int | None]:
    """Returns the used bytes and the limit. The engine reports how much of the limit is left. Without a limit it
    reports 0, or on cgroup v1 what is left of almost 2^63 bytes."""
    if memory.HasField("working_set_bytes"):
        used = memory.working_set_bytes.value
    elif memory.HasField("usage_bytes"):
        used = memory.usage_bytes.value
    else:
        return None, None
    limit = used + memory.available_bytes.value
    return used, limit if used < limit < UNLIMITED_BYTES else None
