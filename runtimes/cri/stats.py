"""What containers of a CRI engine use, out of one answer about all of them.

An engine's own `usage_nano_cores` is 0 or absent at first, and counts from whoever asked last, the kubelet most often:
processor time is compared with our own reading before. Network and block devices are told of pods, if at all, so they
are not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from core.model.usage import Usage, Usages
from runtimes.cri.decode import RUNNING
from runtimes.cri.snapshot import View
from runtimes.proto import cri_pb2 as cri

SHORTEST = 250_000_000  # nanoseconds between two readings that can be compared


class Meter:
    """Remembers readings of processor time, per container, as time and nanoseconds of a core used: the last one, and
    one that is old enough to compare with."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, int]] = {}

    def begin(self, view: View, stats: Iterable[cri.ContainerStats]) -> bool:
        """Takes the very first reading; False where there was one before."""
        if self._before:
            return False
        self._before = {told.attributes.id: _processor(told) for told in _running(view, stats)}
        return bool(self._before)

    def read(self, view: View, stats: Iterable[cri.ContainerStats], only: Collection[str]) -> Usages:
        rows, seen = [], {}
        running = {thing for thing, one in view.containers.items() if one.state == RUNNING}
        wanted = running & set(only) if only else running
        for told in _running(view, stats):
            thing = told.attributes.id
            percent, seen[thing] = self._percent(thing, told)
            if thing not in wanted:
                continue
            memory, limit = _memory(told.memory)
            rows.append(
                Usage(
                    ref=view.ref(view.containers[thing]),
                    cpu_percent=percent,
                    cpu_seconds=_processor(told)[1] / 1e9 if told.HasField("cpu") else None,
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

    def _percent(self, thing: str, told: cri.ContainerStats) -> tuple[float | None, tuple[int, int]]:
        """And the reading to keep."""
        now = _processor(told)
        before = self._before.get(thing, now)
        passed, used = now[0] - before[0], now[1] - before[1]
        if passed >= SHORTEST and used >= 0:
            return 100.0 * used / passed, now
        own = told.cpu.usage_nano_cores.value
        percent = own / 1e7 if own else 100.0 * used / passed if passed > 0 and used >= 0 else None
        return percent, before if passed >= 0 else now


def _running(view: View, stats: Iterable[cri.ContainerStats]) -> Iterator[cri.ContainerStats]:
    for told in stats:
        known = view.containers.get(told.attributes.id)
        if known is not None and known.state == RUNNING and (told.HasField("cpu") or told.HasField("memory")):
            yield told


def _processor(told: cri.ContainerStats) -> tuple[int, int]:
    return told.cpu.timestamp, told.cpu.usage_core_nano_seconds.value


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
