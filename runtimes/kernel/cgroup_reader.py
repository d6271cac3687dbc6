"""Reads the CPU, memory, I/O and network usage of containers from the kernel's files, in cgroups and in /proc.

    reader = cgroup_reader.CgroupReader()
    usages = await reader.read({ref: pid, another: 0, third: "/machine.slice/third.scope"})

Cgroups of version 1 and 2 are supported. The files stay open and are read again, which takes a quarter of the time of
opening them again. The value for a container is its process id, 0 if it is unknown, or its cgroup path. At most half of
the process's limit of open files is used for this, and that limit is raised to its maximum. CPU percent is computed
from two readings. So for a container's first reading, `read` pauses a moment and reads again, once for all containers.
A container that ends meanwhile is left out. No method raises. The event loop runs between the readings. Most containers
do nothing most of the time: if the caller accepts older values, what cannot have grown without CPU time is not read.

Network usage belongs to the container's network namespace; it is None for the machine's own namespace. If containers
share a namespace, as in a pod, each shows the usage of the whole namespace. The file with the network usage is opened
for each reading, because an open file would prevent the removal of an ended container's namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping

from core import open_file_limit
from core.model.refs import Ref
from core.model.resource_usage import Usage, Usages
from runtimes.kernel import cgroup_parsers, cpu_percent
from runtimes.kernel.cgroup_parsers import CgroupUsage
from runtimes.kernel.cgroup_paths import CgroupLocator, ContainerCgroup

# A container that used less since its last complete reading is idle. An init process such as tini wakes up every second
# and uses 0.03 ms each time.
IDLE_CPU_SECONDS = 0.003
MAX_AGE = cpu_percent.MAX_AGE  # seconds after which unused files are closed
FIRST_PAUSE = 0.2  # seconds between the two readings of a container that was not read before
YIELD_EVERY = 32  # containers; then the event loop runs
MAX_OPEN_FILES = 65_536  # however many the kernel allows


class CgroupReader:
    """Reads usage and computes CPU percent. `root` and `named_by_id`: see CgroupLocator. A reader belongs to the event
    loop on which it is first used."""

    def __init__(
        self,
        root: str = "",
        *,
        named_by_id: bool = True,
        budget: DescriptorBudget | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._locator = CgroupLocator(root, named_by_id=named_by_id, now=now)
        self._budget, self._now = budget or DESCRIPTORS, now
        self._open: dict[str, _OpenCgroup] = {}
        self._cpu = cpu_percent.CpuPercent()
        self._turn = asyncio.Lock()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closed_times = 0

    async def read(
        self, wanted: Mapping[Ref, int | str], *, first_pause: float = FIRST_PAUSE, max_age: float = 0.0
    ) -> Usages:
        """Returns the usage of each container that is found, by one of its process ids (0: not known) or its cgroup's
        path. `first_pause`: seconds between the two readings of a new container; 0: its CPU percent is None. `max_age`:
        how many seconds old the memory and the number of processes may be, if the container has used almost no CPU
        time since."""
        async with self._turn, self._closed_after():
            self._close_unused()
            if any(
                self._locator.needs_walk(ref.id, source) for ref, source in wanted.items() if ref.id not in self._open
            ):
                await asyncio.to_thread(self._locator.walk)
            rows, missing = await self._read_all(wanted, max_age)
            if first_pause and (
                new := [row.ref for row in rows if row.cpu_percent is None and row.cpu_seconds is not None]
            ):
                await asyncio.sleep(first_pause)
                again, _ = await self._read_all({ref: wanted[ref] for ref in new}, max_age)
                later = {row.ref: row for row in again}
                rows = [later.get(row.ref, row) for row in rows]
        sentence = f"{missing} running here have no cgroup that can be read." if missing else ""
        return Usages(rows=tuple(rows), missing=sentence)

    @contextlib.asynccontextmanager
    async def _closed_after(self) -> AsyncIterator[None]:
        """Closes what a reading opens after somebody has closed this reader."""
        before = self._closed_times
        try:
            yield
        finally:
            if self._closed_times != before:
                self.close()

    def close(self) -> None:
        self._closed_times += 1
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        for container_id in list(self._open):
            self._close(container_id)
        self._cpu.forget_old(self._now())

    async def _read_all(self, wanted: Mapping[Ref, int | str], max_age: float) -> tuple[list[Usage], int]:
        """Returns the rows, and how many containers should have a cgroup here but have none."""
        rows: list[Usage] = []
        missing = 0
        for number, (ref, source) in enumerate(wanted.items(), 1):
            usage = self._read_one(ref.id, source, wanted, max_age)
            if usage is not None:
                rows.append(self._row(ref, usage))
            elif self._locator.should_exist(source):
                missing += 1
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return rows, missing

    def _read_one(
        self, container_id: str, source: int | str, wanted: Mapping[Ref, int | str], max_age: float
    ) -> CgroupUsage | None:
        opened, now = self._open.get(container_id), self._now()
        if opened is not None and opened.source == source and (usage := opened.read(now, max_age)) is not None:
            opened.used_at = now
            return usage
        if opened is not None:
            self._close(container_id)  # the container ended; it may have been started again
        cgroup = self._locator.find(container_id, source)
        if cgroup is None:
            return None
        opened = _OpenCgroup(cgroup, source, self._locator)
        usage = opened.read(now, 0.0)
        if usage is None or not self._reserve(opened.files, wanted):
            opened.close()
        else:
            opened.used_at = now
            self._open[container_id] = opened
        return usage

    def _reserve(self, files: int, wanted: Mapping[Ref, int | str]) -> bool:
        if self._budget.take(files):
            return True
        # Those wanted now stay open: if they do not all fit, replacing one by another would help nobody.
        current = {ref.id for ref in wanted}
        for container_id in [one for one in self._open if one not in current]:
            self._close(container_id)
        return self._budget.take(files)

    def _close(self, container_id: str) -> None:
        opened = self._open.pop(container_id)
        opened.close()
        self._budget.release(opened.files)

    def _row(self, ref: Ref, usage: CgroupUsage) -> Usage:
        cpu, at = usage.cpu_seconds, self._now()
        return Usage(
            ref=ref,
            cpu_percent=None if cpu is None else self._cpu.percent(ref.id, at, cpu),
            cpu_seconds=cpu,
            memory=usage.memory,
            memory_limit=usage.memory_limit,
            network_received=usage.received,
            network_sent=usage.sent,
            block_read=usage.block_read,
            block_written=usage.block_written,
            processes=usage.processes,
            process_limit=usage.process_limit,
            memory_usage=usage.memory_usage,
            memory_failures=usage.memory_failures,
            swap=usage.swap,
            oom_kills=usage.oom_kills,
            cpu_periods=usage.cpu_periods,
            throttled_periods=usage.throttled_periods,
            throttled_seconds=usage.throttled_seconds,
        )

    def _close_unused(self) -> None:
        """Closes the files that were not used for a while; a timer closes those of a reader that is not used at all."""
        now = self._now()
        for container_id in [one for one, opened in self._open.items() if now - opened.used_at > MAX_AGE]:
            self._close(container_id)
        self._cpu.forget_old(now)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(MAX_AGE, self.close)


class DescriptorBudget:
    """Limits the files that all readers of the process have open, by default to half of the process's limit."""

    def __init__(self, max_files: int | None = None) -> None:
        self._max_files, self._used = max_files, 0

    def take(self, count: int) -> bool:
        if self._max_files is None:
            self._max_files = min(open_file_limit.raise_limit(), MAX_OPEN_FILES) // 2
        if self._used + count > self._max_files:
            return False
        self._used += count
        return True

    def release(self, count: int) -> None:
        self._used -= count


DESCRIPTORS = DescriptorBudget()


class _OpenCgroup:
    """Holds the open files of one container."""

    def __init__(self, cgroup: ContainerCgroup, source: int | str, locator: CgroupLocator) -> None:
        self.source = source
        self.used_at = self._complete_at = 0.0
        self._cgroup, self._locator = cgroup, locator
        self._files: list[tuple[cgroup_parsers.CgroupFile, int]] = []
        self._contents: list[bytes | None] = []  # of each file, as it was parsed last
        self._network: bytes | None = None
        self._usage = CgroupUsage()
        self._complete_cpu: float | None = None
        self._process = -1
        for controller, directory in cgroup.directories.items():
            for file in cgroup_parsers.FILES[2 if controller in cgroup.v2 else 1][controller]:
                for name in file.names:
                    try:
                        self._files.append((file, os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)))
                    except OSError:
                        continue
                    break
        self._files.sort(key=_has_no_cpu_time)
        self.files = len(self._files) + 1
        self._contents = [None] * len(self._files)
        self._open_process()

    def read(self, now: float, max_age: float) -> CgroupUsage | None:
        """Returns the usage, always the same object; None if the cgroup was removed. A file is parsed only if it has
        changed. If the container is idle, the other files are read only after `max_age` seconds."""
        if not self._files:
            return None
        usage, contents, idle = self._usage, self._contents, False
        try:
            for number, (file, descriptor) in enumerate(self._files):
                if idle and not file.idle:
                    continue
                content = os.pread(descriptor, file.max_bytes, 0)
                if content != contents[number]:
                    contents[number] = content
                    file.parse(content, usage)
                if file.has_cpu_time:
                    idle = now - self._complete_at < max_age and self._is_idle()
        except OSError:
            return None
        if not idle:
            self._complete_at, self._complete_cpu = now, usage.cpu_seconds
        if self._process >= 0 and not self._read_network():
            self._open_process()  # the process ended before its container
            if self._process < 0 or not self._read_network():
                self._network, usage.received, usage.sent = None, None, None
        return usage

    def _is_idle(self) -> bool:
        """Whether the container has used almost no CPU time since all of its files were read."""
        before, now = self._complete_cpu, self._usage.cpu_seconds
        return before is not None and now is not None and now - before < IDLE_CPU_SECONDS

    def close(self) -> None:
        for _, descriptor in self._files:
            os.close(descriptor)
        self._files = []
        self._close_process()

    def _read_network(self) -> bool:
        try:
            descriptor = os.open("net/dev", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._process)
        except OSError:
            return False
        try:
            content = os.read(descriptor, 65_536)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        if content != self._network:
            self._network = content
            cgroup_parsers.parse_network(content, self._usage)
        return True

    def _open_process(self) -> None:
        """Opens the directory of one process in a network namespace of its own. The descriptor stays that process's,
        even if another process gets its number."""
        self._close_process()
        pid = self._locator.any_process(self._cgroup)
        if not pid:
            return
        namespace = self._locator.network_namespace(pid)
        machine = self._locator.network_namespace(1) or self._locator.network_namespace("self")
        if not namespace or namespace == machine:
            return
        try:
            self._process = os.open(self._locator.process_directory(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return

    def _close_process(self) -> None:
        if self._process >= 0:
            os.close(self._process)
        self._process = -1


def _has_no_cpu_time(opened: tuple[cgroup_parsers.CgroupFile, int]) -> bool:
    return not opened[0].has_cpu_time
