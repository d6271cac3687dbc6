"""Reports as events how the host of each engine changes: how full its data disk is, and the states of the systemd units
that run containers.

Each reading is compared with the one before. The events are only for the alert rules; they are not stored. If a unit
had failed long before the first reading, that is no change, so a start reports no old problem. A full disk is always
reported, whenever it became full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from core.lazy_dataclass import dataclass
from core.model.disk_use import Filesystem
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.model.units import Unit

DATA_ROOT, UNIT_STATE = "data-root", "unit-state"
FAILED, REMOVED = "failed", "removed"
MAX_REASON = 300  # characters
# A unit that failed in this time before the first reading may have failed while Quarterdeck was restarted.
RECENT_NS = 900 * 1_000_000_000
_Disk = tuple[str, int, int]  # host, device and size


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReadings:
    """What was read last of one engine's host. None: not known now, which is no change."""

    engine: EngineRef
    filesystem: Filesystem | None = None
    units: Sequence[Unit] | None = None


class HostStateEvents:
    """Holds the last state of each host. `now_ns`: our clock."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._percent: dict[EngineRef, int] = {}
        self._reporters: dict[_Disk, EngineRef] = {}  # which of the engines on a disk reports it
        self._deferring: dict[EngineRef, EngineRef] = {}  # the reporter, by each other engine on its disk
        self._units: dict[EngineRef, Mapping[str, str]] = {}  # the state by the id of the unit

    def report_disks_again(self) -> None:
        """Lets the next call report the state of every disk, also if it has not changed."""
        self._percent.clear()
        self._deferring.clear()

    def compare(self, readings: Iterable[HostReadings]) -> Sequence[Event]:
        """Takes the newest readings of every engine, and returns what changed since the last call."""
        given = sorted(readings, key=lambda each: str(each.engine))
        found = [*self._compare_disks(given)]
        for each in given:
            if each.units is not None:
                found += self._compare_units(each.engine, each.units)
        for gone in self._units.keys() - {each.engine for each in given}:
            del self._units[gone]
        return found

    def _compare_disks(self, given: Sequence[HostReadings]) -> Iterable[Event]:
        """Yields the disks whose percentage changed. Two engines of one host with one disk are one trouble: the first
        of them reports it, as long as it is watched and uses this disk."""
        watched = {each.engine for each in given}
        disks = {each.engine: disk for each in given if (disk := _disk(each)) is not None}
        self._reporters = {
            disk: engine
            for disk, engine in self._reporters.items()
            if engine in watched and disks.get(engine, disk) == disk
        }
        for each in given:
            percent = full_percent(each.filesystem)
            if each.filesystem is None or percent is None:
                continue
            reporter = self._reporters.setdefault(disks[each.engine], each.engine)
            if reporter != each.engine:
                self._percent.pop(each.engine, None)
                if self._deferring.get(each.engine) != reporter:
                    self._deferring[each.engine] = reporter
                    yield self._event(_engine(each.engine), DATA_ROOT, {"reporter": str(reporter)})
                continue
            self._deferring.pop(each.engine, None)
            if percent != self._percent.get(each.engine):
                self._percent[each.engine] = percent
                attrs = {"percent": str(percent), "free": _size(each.filesystem.free)}
                yield self._event(_engine(each.engine), DATA_ROOT, attrs)
        for gone in (self._percent.keys() | self._deferring.keys()) - watched:
            self._percent.pop(gone, None)
            self._deferring.pop(gone, None)
            yield self._event(_engine(gone), DATA_ROOT, {})

    def _compare_units(self, engine: EngineRef, units: Sequence[Unit]) -> Iterable[Event]:
        before = self._units.get(engine)
        now = {unit.ref.id: unit.active for unit in units}
        self._units[engine] = now
        for unit in units:
            at = int(unit.since * 1e9) if unit.since is not None else self._now_ns()
            if before is None:
                if unit.active == FAILED and self._now_ns() - at > RECENT_NS:
                    continue
            elif before.get(unit.ref.id) == unit.active:
                continue
            attrs = {"state": unit.active, "why": (unit.why or unit.sub)[:MAX_REASON]}
            labels = {name: value for each in unit.labels for name, value in each.items()}
            origin = Origin.RESYNC if before is None else Origin.LIVE
            at = min(at, self._now_ns())
            yield Event(at, EventKind.OTHER, unit.ref, origin, "unit", UNIT_STATE, attrs, labels=labels)
        for unit_id in (before or {}).keys() - now.keys():
            ref = Ref(engine=engine, kind=Kind.UNIT, id=unit_id, name=unit_id)
            yield self._event(ref, UNIT_STATE, {"state": REMOVED})

    def _event(self, subject: Ref, action: str, attrs: dict[str, str]) -> Event:
        return Event(self._now_ns(), EventKind.OTHER, subject, Origin.LIVE, str(subject.kind), action, attrs)


def _disk(readings: HostReadings) -> _Disk | None:
    """Names the disk of an engine; None if it is not known now."""
    filesystem = readings.filesystem
    if filesystem is None or filesystem.size <= 0:
        return None
    return (readings.engine.host, filesystem.device, filesystem.size)


def full_percent(filesystem: Filesystem | None) -> int | None:
    """Returns how full it is, in percent; None if that is not known."""
    if filesystem is None or filesystem.size <= 0:
        return None
    return round(100 * (1 - filesystem.free / filesystem.size))


def _engine(ref: EngineRef) -> Ref:
    return Ref(engine=ref, kind=Kind.ENGINE, id=str(ref), name=str(ref))


def _size(number: int) -> str:
    """Returns a size for people: 512 MiB, 3.4 GiB."""
    mebibytes = number / (1 << 20)
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"
