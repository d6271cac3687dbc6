"""Reads facts about processes and cgroups from /proc and /sys; None for what cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def start_time(pid: int, root: str = "/proc") -> float | None:
    """When a process started, in seconds since the epoch."""
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


def pid_namespace(pid: str = "self", root: str = "/proc") -> int | None:
    """The number of a process's pid namespace."""
    try:
        return Path(f"{root}/{pid}/ns/pid").stat().st_ino
    except OSError:
        return None


def cgroup_version(root: str = "/sys/fs/cgroup") -> str:
    """`1` or `2`; empty if neither is mounted here."""
    mounted = Path(root)
    if (mounted / "cgroup.controllers").exists():
        return "2"
    return "1" if (mounted / "memory").is_dir() or (mounted / "cpu").exists() else ""
