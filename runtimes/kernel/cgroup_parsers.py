"""The kernel's files of one cgroup into numbers: pure, for version 1 and version 2. What a file does not tell stays
None."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

NO_LIMIT = 1 << 60  # version 1 writes the largest number of pages, in bytes, for none
_BLOCK = re.compile(rb"^\S+ (Read|Write) (\d+)$", re.MULTILINE | re.IGNORECASE)
_BLOCK_2 = re.compile(rb"\b(r|w)bytes=(\d+)")
_NETWORK = re.compile(rb"^ *([^\s:]+): *(\d+)(?: +\d+){7} +(\d+)", re.MULTILINE)


class Numbers:
    """One reading."""

    __slots__ = (
        "block_read",
        "block_written",
        "cpu_seconds",
        "memory",
        "memory_limit",
        "processes",
        "received",
        "sent",
    )

    def __init__(self) -> None:
        self.cpu_seconds: float | None = None
        self.memory: int | None = None
        self.memory_limit: int | None = None
        self.received: int | None = None
        self.sent: int | None = None
        self.block_read: int | None = None
        self.block_written: int | None = None
        self.processes: int | None = None


Parse = Callable[[bytes, Numbers], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """`names`: the first of them that is there; `size`: bytes that are enough."""

    names: Sequence[str]
    parse: Parse
    size: int


def _cpu(text: bytes, numbers: Numbers) -> None:
    numbers.cpu_seconds = _integer(text) / 1e9


def _cpu_2(text: bytes, numbers: Numbers) -> None:
    if (found := _named(text, b"usage_usec ")) is not None:
        numbers.cpu_seconds = found / 1e6


def _memory(text: bytes, numbers: Numbers) -> None:
    numbers.memory = _integer(text)


def _memory_parts(text: bytes, numbers: Numbers) -> None:
    """Version 1. The limit told here is the lowest of its parents' too."""
    _without(text, b"total_inactive_file ", numbers)
    limit = _named(text, b"hierarchical_memory_limit ")
    numbers.memory_limit = limit if limit is not None and limit < NO_LIMIT else None


def _memory_parts_2(text: bytes, numbers: Numbers) -> None:
    _without(text, b"inactive_file ", numbers)


def _limit_2(text: bytes, numbers: Numbers) -> None:
    word = text.strip()
    numbers.memory_limit = int(word) if word.isdigit() else None


def _without(text: bytes, name: bytes, numbers: Numbers) -> None:
    if numbers.memory is not None:
        numbers.memory = max(0, numbers.memory - (_named(text, name) or 0))


def _processes(text: bytes, numbers: Numbers) -> None:
    numbers.processes = _integer(text)


def _block(text: bytes, numbers: Numbers) -> None:
    _blocks([(way[:1].lower(), size) for way, size in _BLOCK.findall(text)], numbers)


def _block_2(text: bytes, numbers: Numbers) -> None:
    _blocks(_BLOCK_2.findall(text), numbers)


def _blocks(found: Sequence[tuple[bytes, bytes]], numbers: Numbers) -> None:
    sums = {b"r": 0, b"w": 0}
    for way, size in found:
        sums[way] += int(size)
    numbers.block_read, numbers.block_written = sums[b"r"], sums[b"w"]


def network(text: bytes, numbers: Numbers) -> None:
    """`/proc/PID/net/dev`: all devices but the one to itself."""
    received = sent = 0
    for device, came, went in _NETWORK.findall(text):
        if device != b"lo":
            received += int(came)
            sent += int(went)
    numbers.received, numbers.sent = received, sent


def _integer(text: bytes) -> int:
    word = text.strip()
    return int(word) if word.isdigit() else 0


def _named(text: bytes, name: bytes) -> int | None:
    """The number behind a name that begins a line."""
    at = 0 if text.startswith(name) else text.find(b"\n" + name) + 1
    if not at and not text.startswith(name):
        return None
    at += len(name)
    end = text.find(b"\n", at)
    word = text[at : end if end >= 0 else len(text)].strip()
    return int(word) if word.isdigit() else None


def _file(*names: str, parse: Parse, size: int = 64) -> File:
    return File(names=names, parse=parse, size=size)


FILES: Mapping[bool, Mapping[str, Sequence[File]]] = {
    False: {
        "cpuacct": (_file("cpuacct.usage", parse=_cpu),),
        "memory": (
            _file("memory.usage_in_bytes", parse=_memory),
            _file("memory.stat", parse=_memory_parts, size=8192),
        ),
        "pids": (_file("pids.current", parse=_processes),),
        "blkio": (
            _file(
                "blkio.throttle.io_service_bytes_recursive",
                "blkio.throttle.io_service_bytes",
                "blkio.bfq.io_service_bytes_recursive",
                parse=_block,
                size=16_384,
            ),
        ),
    },
    True: {
        "cpuacct": (_file("cpu.stat", parse=_cpu_2, size=1024),),
        "memory": (
            _file("memory.current", parse=_memory),
            _file("memory.stat", parse=_memory_parts_2, size=8192),
            _file("memory.max", parse=_limit_2),
        ),
        "pids": (_file("pids.current", parse=_processes),),
        "blkio": (_file("io.stat", parse=_block_2, size=16_384),),
    },
}
"""By whether it is version 2, and by version 1's name of the controller. In this order: what is without cache is
reckoned from what is there in all."""
