"""Reads start times and namespaces of processes from /proc, and the cgroup version from /sys.

A value that cannot be read is None.
"""

from __future__ import annotations

import os
from pathlib import Path

from runtimes.kernel import cgroup_state

_TICK = os.sysconf("SC_CLK_TCK")


def process_start_time(pid: int, root: str = "/proc") -> float | None:
    """Returns when a process started, in seconds since the epoch."""
    if not pid:
        return None
    try:
        # The name of a process is in brackets and may contain spaces and brackets itself.
        fields = Path(f"{root}/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        booted = next(
            int(line.split()[1])
            for line in Path(f"{root}/stat").read_text(encoding="ascii").splitlines()
            if line.startswith("btime ")
        )
        return booted + int(fields[19]) / _TICK
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def process_start_ticks(pid: int) -> int | None:
    """Returns when a process started, in clock ticks since the machine started: a later process with the same number
    has another value. None if there is no such process, or if it has ended and waits to be reaped (a zombie)."""
    stat = cgroup_state.read_kernel_file(f"/proc/{pid}/stat")
    # The name of a process is in brackets, and may itself contain spaces and brackets.
    _, bracket, rest = stat.rpartition(") ")
    fields = rest.split(" ")
    if not bracket or len(fields) < 20 or fields[0] in "ZXx":
        return None
    return int(fields[19]) if fields[19].isdecimal() else None


def pid_namespace(pid: str = "self", root: str = "/proc") -> int | None:
    """Returns the number of a process's pid namespace."""
    try:
        return Path(f"{root}/{pid}/ns/pid").stat().st_ino
    except OSError:
        return None


def cgroup_version(root: str = "/sys/fs/cgroup") -> str:
    """Returns the mounted version of cgroups, `1` or `2`; empty if none is mounted."""
    mounted = Path(root)
    if (mounted / "cgroup.controllers").exists():
        return "2"
    return "1" if (mounted / "memory").is_dir() or (mounted / "cpu").exists() else ""
