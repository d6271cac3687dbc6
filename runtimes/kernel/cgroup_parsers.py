"""Parses the kernel's files about one control group (cgroup), of version 1 and of version 2.

A value that is in none of the files is None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from core.lazy_dataclass import dataclass

NO_LIMIT = 1 << 60  # bytes; version 1 writes the largest number of pages if there is no limit
_BLOCK_V1 = re.compile(rb"^\S+ (Read|Write) (\d+)$", re.MULTILINE | re.IGNORECASE)
_BLOCK_V2 = re.compile(rb"\b(r|w)bytes=(\d+)")
_NETWORK = re.compile(rb"^ *([^\s:]+): *(\d+)(?: +\d+){7} +(\d+)", re.MULTILINE)


class CgroupUsage:
    """Holds the CPU time, memory, I/O and number of processes of one cgroup, as they were read last. Sizes are in
    bytes. `memory_usage` includes the page cache; `inactive_cache` is the part of it that the kernel can drop."""

    __slots__ = (
        "block_read",
        "block_written",
        "cpu_periods",
        "cpu_seconds",
        "inactive_cache",
        "memory_failures",
        "memory_limit",
        "memory_usage",
        "oom_kills",
        "process_limit",
        "processes",
        "received",
        "sent",
        "swap",
        "throttled_periods",
        "throttled_seconds",
    )

    def __init__(self) -> None:
        self.cpu_seconds: float | None = None
        self.inactive_cache: int | None = None
        self.memory_limit: int | None = None
        self.received: int | None = None
        self.sent: int | None = None
        self.block_read: int | None = None
        self.block_written: int | None = None
        self.processes: int | None = None
        self.process_limit: int | None = None
        self.memory_usage: int | None = None
        self.memory_failures: int | None = None
        self.swap: int | None = None
        self.oom_kills: int | None = None
        self.cpu_periods: int | None = None
        self.throttled_periods: int | None = None
        self.throttled_seconds: float | None = None

    @property
    def memory(self) -> int | None:
        """The memory without the inactive page cache, as `docker stats` shows it."""
        return None if self.memory_usage is None else max(0, self.memory_usage - (self.inactive_cache or 0))


Parse = Callable[[bytes, CgroupUsage], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupFile:
    """Describes one file and its parser. `names`: the first existing file is read; `max_bytes`: how much of it.
    `has_cpu_time`: it changes whenever a process of the container runs. `idle`: it may change while none runs, by more
    than the kernel takes back."""

    names: Sequence[str]
    parse: Parse
    max_bytes: int
    has_cpu_time: bool
    idle: bool


def _cpu_v1(text: bytes, usage: CgroupUsage) -> None:
    usage.cpu_seconds = _integer(text) / 1e9


def _throttling_v1(text: bytes, usage: CgroupUsage) -> None:
    usage.cpu_periods = _value(text, b"nr_periods ")
    usage.throttled_periods = _value(text, b"nr_throttled ")
    if (found := _value(text, b"throttled_time ")) is not None:
        usage.throttled_seconds = found / 1e9


def _cpu_v2(text: bytes, usage: CgroupUsage) -> None:
    if (found := _value(text, b"usage_usec ")) is not None:
        usage.cpu_seconds = found / 1e6
    usage.cpu_periods = _value(text, b"nr_periods ")
    usage.throttled_periods = _value(text, b"nr_throttled ")
    if (found := _value(text, b"throttled_usec ")) is not None:
        usage.throttled_seconds = found / 1e6


def _memory(text: bytes, usage: CgroupUsage) -> None:
    usage.memory_usage = _integer(text)


def _memory_stat_v1(text: bytes, usage: CgroupUsage) -> None:
    """Parses memory.stat. `hierarchical_memory_limit` also takes the limits of the parent cgroups into account."""
    usage.inactive_cache = _value(text, b"total_inactive_file ")
    usage.swap = _value(text, b"total_swap ")
    limit = _value(text, b"hierarchical_memory_limit ")
    usage.memory_limit = limit if limit is not None and limit < NO_LIMIT else None


def _memory_stat_v2(text: bytes, usage: CgroupUsage) -> None:
    usage.inactive_cache = _value(text, b"inactive_file ")


def _memory_max_v2(text: bytes, usage: CgroupUsage) -> None:
    digits = text.strip()
    usage.memory_limit = int(digits) if digits.isdigit() else None


def _swap_v2(text: bytes, usage: CgroupUsage) -> None:
    usage.swap = _integer(text)


def _failures_v1(text: bytes, usage: CgroupUsage) -> None:
    usage.memory_failures = _integer(text)


def _oom_v1(text: bytes, usage: CgroupUsage) -> None:
    usage.oom_kills = _value(text, b"oom_kill ")


def _memory_events_v2(text: bytes, usage: CgroupUsage) -> None:
    usage.memory_failures = _value(text, b"max ")
    usage.oom_kills = _value(text, b"oom_kill ")


def _process_limit(text: bytes, usage: CgroupUsage) -> None:
    digits = text.strip()
    usage.process_limit = int(digits) if digits.isdigit() else None


def _processes(text: bytes, usage: CgroupUsage) -> None:
    usage.processes = _integer(text)


def _block_v1(text: bytes, usage: CgroupUsage) -> None:
    _set_block([(direction[:1].lower(), size) for direction, size in _BLOCK_V1.findall(text)], usage)


def _block_v2(text: bytes, usage: CgroupUsage) -> None:
    _set_block(_BLOCK_V2.findall(text), usage)


def _set_block(found: Sequence[tuple[bytes, bytes]], usage: CgroupUsage) -> None:
    sums = {b"r": 0, b"w": 0}
    for direction, size in found:
        sums[direction] += int(size)
    usage.block_read, usage.block_written = sums[b"r"], sums[b"w"]


def parse_network(text: bytes, usage: CgroupUsage) -> None:
    """Parses `/proc/PID/net/dev`. Returns the sum of all devices except loopback."""
    received = sent = 0
    for device, bytes_received, bytes_sent in _NETWORK.findall(text):
        if device != b"lo":
            received += int(bytes_received)
            sent += int(bytes_sent)
    usage.received, usage.sent = received, sent


def _integer(text: bytes) -> int:
    digits = text.strip()
    return int(digits) if digits.isdigit() else 0


def _value(text: bytes, name: bytes) -> int | None:
    """Returns the number after a name at the beginning of a line."""
    at = 0 if text.startswith(name) else text.find(b"\n" + name) + 1
    if not at and not text.startswith(name):
        return None
    at += len(name)
    end = text.find(b"\n", at)
    digits = text[at : end if end >= 0 else len(text)].strip()
    return int(digits) if digits.isdigit() else None


def _file(*names: str, parse: Parse, max_bytes: int = 64, has_cpu_time: bool = False, idle: bool = False) -> CgroupFile:
    return CgroupFile(names=names, parse=parse, max_bytes=max_bytes, has_cpu_time=has_cpu_time, idle=idle)


FILES: Mapping[int, Mapping[str, Sequence[CgroupFile]]] = {
    1: {
        "cpuacct": (_file("cpuacct.usage", parse=_cpu_v1, has_cpu_time=True),),
        "cpu": (_file("cpu.stat", parse=_throttling_v1, max_bytes=1024),),
        "memory": (
            _file("memory.usage_in_bytes", parse=_memory),
            _file("memory.stat", parse=_memory_stat_v1, max_bytes=8192),
            _file("memory.failcnt", parse=_failures_v1),
            _file("memory.oom_control", parse=_oom_v1, max_bytes=256),
        ),
        "pids": (_file("pids.current", parse=_processes), _file("pids.max", parse=_process_limit)),
        "blkio": (
            _file(
                "blkio.throttle.io_service_bytes_recursive",
                "blkio.throttle.io_service_bytes",
                "blkio.bfq.io_service_bytes_recursive",
                parse=_block_v1,
                max_bytes=16_384,
                idle=True,
            ),
        ),
    },
    2: {
        "cpuacct": (_file("cpu.stat", parse=_cpu_v2, max_bytes=1024, has_cpu_time=True),),
        "cpu": (),
        "memory": (
            _file("memory.current", parse=_memory),
            _file("memory.stat", parse=_memory_stat_v2, max_bytes=8192),
            _file("memory.max", parse=_memory_max_v2),
            _file("memory.swap.current", parse=_swap_v2),
            _file("memory.events", parse=_memory_events_v2, max_bytes=512),
        ),
        "pids": (_file("pids.current", parse=_processes), _file("pids.max", parse=_process_limit)),
        "blkio": (_file("io.stat", parse=_block_v2, max_bytes=16_384, idle=True),),
    },
}
"""By cgroup version and by version 1's name of the controller."""
