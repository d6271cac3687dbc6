"""Stores the resource usage of one engine's containers: the newest reading of each, and one hour of readings, packed.

A reading of one container takes 56 bytes: 200 containers with a reading every 15 s take 2.7 MB. The history of a
container stays for an hour after its last reading, so that its end can be explained.
"""

from __future__ import annotations

import math
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from core.model.refs import Ref
from core.model.resource_usage import Point, ReadUsage, Usage, Usages

RETENTION_SECONDS = 3600
MAX_CONTAINERS = 1000
MAX_READINGS = 256  # of one container
_NAN = float("nan")
_FIELDS = 7  # of one reading: those of Point


class UsageHistory:
    """Stores readings. `now`: our clock, in seconds since the epoch. `read_at`: the time of the newest reading.
    `interval`: seconds between two readings, 0 before the first."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._origin = int(now())
        self._readings: OrderedDict[str, array[float]] = OrderedDict()
        self._refs: dict[str, Ref] = {}
        self.latest: dict[str, Usage] = {}
        self.read_at = 0.0
        self.interval = 0.0

    def add(self, rows: Sequence[Usage]) -> None:
        """Adds the readings of one moment. Containers that are not among them do not run any more."""
        now = self._now()
        before, passed = self.latest, now - self.read_at
        for usage in rows:
            self._append(usage, before.get(usage.ref.id), now, passed)
        self.latest = {usage.ref.id: usage for usage in rows}
        self.read_at = now
        self._forget(now)

    def answer(self, action: ReadUsage) -> Usages:
        """Returns the containers that have readings since `action.since`, with these. A container that does not run any
        more has no other values."""
        rows = []
        for container_id, ref in self._refs.items():
            if (not action.only or container_id in action.only) and (points := self.points(container_id, action.since)):
                usage = self.latest.get(container_id) or Usage(ref=ref)
                rows.append(msgspec.structs.replace(usage, points=tuple(points)))
        return Usages(rows=tuple(rows))

    def points(self, container_id: str, since: float) -> list[Point]:
        """Returns the readings of a container from `since` on (unix seconds), the oldest first."""
        packed = self._readings.get(container_id, ())
        found = []
        for start in range(0, len(packed), _FIELDS):
            at = self._origin + int(packed[start])
            if at >= since:
                values = [None if math.isnan(value) else value for value in packed[start + 1 : start + _FIELDS]]
                found.append(Point(at, *values))
        return found

    def _append(self, usage: Usage, before: Usage | None, now: float, passed: float) -> None:
        packed = self._readings.get(usage.ref.id)
        if packed is None:
            packed = self._readings[usage.ref.id] = array("d")
        self._readings.move_to_end(usage.ref.id)
        self._refs[usage.ref.id] = usage.ref
        packed.append(now - self._origin)
        packed.append(_number(usage.cpu_percent))
        packed.append(_number(usage.memory))
        for name in ("network_received", "network_sent", "block_read", "block_written"):
            packed.append(_rate(getattr(usage, name), getattr(before, name, None), passed))
        if len(packed) > MAX_READINGS * _FIELDS:
            del packed[:_FIELDS]

    def _forget(self, now: float) -> None:
        while self._readings:
            container_id, packed = next(iter(self._readings.items()))  # the one whose last reading is the oldest
            last = self._origin + packed[-_FIELDS]
            if now - last <= RETENTION_SECONDS and len(self._readings) <= MAX_CONTAINERS:
                return
            del self._readings[container_id], self._refs[container_id]


def _number(value: float | None) -> float:
    return _NAN if value is None else float(value)


def _rate(value: int | None, before: int | None, passed: float) -> float:
    """The counter starts again at 0 with the container: then there is no rate."""
    if value is None or before is None or value < before or passed <= 0:
        return _NAN
    return (value - before) / passed
