"""What containers of a CRI engine use, out of one answer about all of them.

An engine's own `usage_nano_cores` is 0 or absent at first, and counts from whoever asked last, the kubelet most often:
processor time is compared with our own reading before. Network and block devices are told of pods, if at all, so they
are not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from core.model.usage import Usage, Usages
from runtimes.cri_dialect import RUNNING
from runtimes.cri_view import View
from runtimes.proto import cri_pb2 as cri

SHORTEST = 200_000_000  # nanoseconds between two readings that can be compared


class Meter:
    """Remembers the reading before, per container, as time and nanoseconds of a core used."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, int]] = {}

    def read(self, view: View, stats: Iterable[cri.ContainerStats], only: Collection[str]) -> Usages:
        rows, seen = [], {}
        running = {thing for thing, one in view.containers.items() if one.state == RUNNING}
        wanted = running & set(only) if only else running
        for told in stats:
            thing = told.attributes.id
            if thing not in running or not (told.HasField("cpu") or told.HasField("memory")):
                continue
            percent, seen[thing] = self._percent(thing, told.cpu)
            if thing not in wanted:
                continue
            used = told.cpu.usage_core_nano_seconds.value if told.cpu.HasField("usage_core_nano_seconds") else None
            memory, limit = _memory(told.memory)
            rows.append(
                Usage(
                    ref=view.ref(view.containers[thing]),
                    cpu_percent=percent,
                    cpu_seconds=None if used is None else used / 1e9,
                    memory=memory,
                    memory_limit=limit,
                )
            )
        self._before = seen
        silent = len(wanted) - len(rows)
        missing = (
            f"Of {silent} running container{'s' if silent > 1 else ''} the engine told no usage." if silent else ""
        )
        return Usages(rows=tuple(rows), missing=missing)

    def _percent(self, thing: str, cpu: cri.CpuUsage) -> tuple[float | None, tuple[int, int]]:
        now = (cpu.timestamp, cpu.usage_core_nano_seconds.value)
        at, used = self._before.get(thing, (0, 0))
        if at and now[0] - at >= SHORTEST and now[1] >= used:
            return 100.0 * (now[1] - used) / (now[0] - at), now
        told = cpu.usage_nano_cores.value
        return (told / 1e7 if told else None), ((at, used) if at and now[0] - at < SHORTEST else now)


def _memory(told: cri.MemoryUsage) -> tuple[int | None, int | None]:
    """Used and limit. An engine tells what is left of the limit, and 0 where there is none."""
    if told.HasField("working_set_bytes"):
        used = told.working_set_bytes.value
    elif told.HasField("usage_bytes"):
        used = told.usage_bytes.value
    else:
        return None, None
    left = told.available_bytes.value
    return used, used + left if left else None
