"""What containers use, from the kernel's own files: cgroups of version 1 or 2, and the network of their processes.

    reader = cgroups.Reader()
    usages = await reader.read({ref: pid, another: 0, third: "/machine.slice/third.scope"})

Files are opened once and read again where they stand, which costs a quarter of opening them; as many as there is room
for under the process's limit of open files, which is raised as far as it may be. The processor's share is what was used
since the reading before, so a container's first one waits a moment for a second, once for all of them. A container that
ends meanwhile is left out; nothing here raises. No read blocks for long: the loop runs in between.

The network is that of the container's namespace and None where it is the machine's; containers that share one (a pod)
each show all of it. Its file is opened anew each time: an open one would keep the namespace of an ended container.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable, Mapping

from core.model.refs import Ref
from core.model.usage import Usage, Usages
from runtimes.kernel import cgroup_parsers
from runtimes.kernel.cgroup_parsers import Numbers
from runtimes.kernel.cgroup_paths import CgroupLocator, CgroupPath

FRESH = 1.0  # seconds a reading must be old to compare another with
STALE = 120.0  # seconds after which it tells nothing of now
MOMENT = 0.2  # seconds between the two readings of a first one
SLICE = 32  # containers read before the loop runs again
WANTED_FILES = 65_536  # open files we ask the kernel to allow, where it may


class DescriptorBudget:
    """How many files of containers the whole process keeps open: half of what it may."""

    def __init__(self, most: int | None = None) -> None:
        self._most, self._used = most, 0

    def take(self, count: int) -> bool:
        if self._most is None:
            self._most = _raise_limit() // 2
        if self._used + count > self._most:
            return False
        self._used += count
        return True

    def give(self, count: int) -> None:
        self._used -= count


ROOM = DescriptorBudget()


class CpuPercent:
    """The processor's share of each container: its seconds of two readings compared."""

    def __init__(self) -> None:
        self._readings: dict[str, tuple[tuple[float, float], ...]] = {}

    def percent(self, key: str, at: float, seconds: float) -> float | None:
        """None where there is nothing to compare with yet. Notes the reading."""
        before = self._readings.get(key, ())
        if before and (at - before[-1][0] > STALE or seconds < before[-1][1]):
            before = ()  # long ago, or it has been started again
        if before and at - before[-1][0] < FRESH:
            # Asked twice in a moment: the one before that is compared with, where there is one.
            then, used = before[0]
            if len(before) == 1:
                self._readings[key] = (before[0], (at, seconds))
        elif before:
            then, used = before[-1]
            self._readings[key] = (before[-1], (at, seconds))
        else:
            self._readings[key] = ((at, seconds),)
            return None
        return max(0.0, (seconds - used) / (at - then) * 100) if at > then else None

    def forget(self, now: float) -> None:
        """What was read too long ago to compare with."""
        self._readings = {key: pair for key, pair in self._readings.items() if now - pair[-1][0] <= STALE}


class Reader:
    """`root`: what stands before every path. `named`: see cgroup_places. Belongs to the loop it is first used on."""

    def __init__(
        self,
        root: str = "",
        *,
        named: bool = True,
        room: DescriptorBudget = ROOM,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._map = CgroupLocator(root, named=named, now=now)
        self._room, self._now = room, now
        self._accounts: dict[str, _Account] = {}
        self._shares = CpuPercent()
        self._asking = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    async def read(self, wanted: Mapping[Ref, int | str], *, moment: float = MOMENT) -> Usages:
        """The use of each container that is found here: by a pid of it (0: unknown) or by its cgroup. `moment`: seconds
        a first reading waits for its second; 0 for not at all, its share is then None."""
        async with self._asking:
            self._tidy()
            if any(self._map.far(ref.id, where) for ref, where in wanted.items() if ref.id not in self._accounts):
                await asyncio.to_thread(self._map.walk)
            rows, missed = await self._sweep(wanted)
            if moment and (
                first := [row.ref for row in rows if row.cpu_percent is None and row.cpu_seconds is not None]
            ):
                await asyncio.sleep(moment)
                again, _ = await self._sweep({ref: wanted[ref] for ref in first})
                later = {row.ref: row for row in again}
                rows = [later.get(row.ref, row) for row in rows]
        told = f"{missed} running here have no cgroup that can be read." if missed else ""
        return Usages(rows=tuple(rows), missing=told)

    def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        for thing in list(self._accounts):
            self._let_go(thing)
        self._shares.forget(self._now())

    async def _sweep(self, wanted: Mapping[Ref, int | str]) -> tuple[list[Usage], int]:
        rows: list[Usage] = []
        missed = 0
        for number, (ref, where) in enumerate(wanted.items(), 1):
            numbers = self._numbers(ref.id, where, wanted)
            if numbers is not None:
                rows.append(self._usage(ref, numbers))
            elif self._map.told(where):
                missed += 1
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return rows, missed

    def _numbers(self, thing: str, where: int | str, wanted: Mapping[Ref, int | str]) -> Numbers | None:
        account = self._accounts.get(thing)
        if account is not None and account.where == where and (numbers := account.read()) is not None:
            account.used_at = self._now()
            return numbers
        if account is not None:
            self._let_go(thing)  # it ended; it may have been started again since
        place = self._map.find(thing, where)
        if place is None:
            return None
        account = _Account(place, where, self._map)
        numbers = account.read()
        if numbers is None or not self._find_room(account.files, wanted):
            account.close()
        else:
            account.used_at = self._now()
            self._accounts[thing] = account
        return numbers

    def _find_room(self, count: int, wanted: Mapping[Ref, int | str]) -> bool:
        if self._room.take(count):
            return True
        # What is wanted now stays: where there are more than fit, pushing each other out would keep none of them.
        now = {ref.id for ref in wanted}
        for thing in [thing for thing in self._accounts if thing not in now]:
            self._let_go(thing)
        return self._room.take(count)

    def _let_go(self, thing: str) -> None:
        account = self._accounts.pop(thing)
        account.close()
        self._room.give(account.files)

    def _usage(self, ref: Ref, numbers: Numbers) -> Usage:
        cpu, at = numbers.cpu_seconds, self._now()
        return Usage(
            ref=ref,
            cpu_percent=None if cpu is None else self._shares.percent(ref.id, at, cpu),
            cpu_seconds=cpu,
            memory=numbers.memory,
            memory_limit=numbers.memory_limit,
            network_received=numbers.received,
            network_sent=numbers.sent,
            block_read=numbers.block_read,
            block_written=numbers.block_written,
            processes=numbers.processes,
        )

    def _tidy(self) -> None:
        """Lets go of what was not asked for in a while; nothing stays open for a reader that nobody uses."""
        now = self._now()
        for thing in [thing for thing, account in self._accounts.items() if now - account.used_at > STALE]:
            self._let_go(thing)
        self._shares.forget(now)
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(STALE, self.close)


class _Account:
    """One container's files, open."""

    def __init__(self, place: CgroupPath, where: int | str, charts: CgroupLocator) -> None:
        self.where = where
        self.used_at = 0.0
        self._place, self._map = place, charts
        self._open: list[tuple[cgroup_parsers.File, int]] = []
        self._process = -1
        for controller, folder in place.folders.items():
            for file in cgroup_parsers.FILES[controller in place.unified][controller]:
                for name in file.names:
                    try:
                        self._open.append((file, os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)))
                    except OSError:
                        continue
                    break
        self.files = len(self._open) + 1
        self._find_process()

    def read(self) -> Numbers | None:
        """None where it is gone."""
        numbers = Numbers()
        try:
            for file, descriptor in self._open:
                file.parse(os.pread(descriptor, file.size, 0), numbers)
        except OSError:
            return None
        if not self._open:
            return None
        if self._process >= 0 and not self._read_network(numbers):
            self._find_process()  # it was one that ended before its container
            if self._process >= 0:
                self._read_network(numbers)
        return numbers

    def close(self) -> None:
        for _, descriptor in self._open:
            os.close(descriptor)
        self._open = []
        self._forget_process()

    def _read_network(self, numbers: Numbers) -> bool:
        try:
            descriptor = os.open("net/dev", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._process)
        except OSError:
            return False
        try:
            cgroup_parsers.network(os.read(descriptor, 65_536), numbers)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _find_process(self) -> None:
        """Its folder, opened, leads to this process alone, whoever gets its number later."""
        self._forget_process()
        pid = self._map.member(self._place)
        if not pid:
            return
        own = self._map.network(pid)
        if not own or own == (self._map.network(1) or self._map.network("self")):
            return
        try:
            self._process = os.open(self._map.process(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return

    def _forget_process(self) -> None:
        if self._process >= 0:
            os.close(self._process)
        self._process = -1


def _raise_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            return soft
        return most
    return WANTED_FILES if soft == resource.RLIM_INFINITY else soft
