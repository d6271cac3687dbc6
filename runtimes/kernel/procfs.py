"""What the kernel tells of processes and control groups on this host. None where it cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def began(pid: int, root: str = "/proc") -> float | None:
    """When a process began, unix seconds."""
    if not pid:
        return None
    try:
        # A process may have spaces and brackets in its name, which stands in brackets.
        words = Path(f"{root}/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        booted = next(
            int(line.split()[1])
            for line in Path(f"{root}/stat").read_text(encoding="ascii").splitlines()
            if line.startswith("btime ")
        )
        return booted + int(words[19]) / _TICK
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def pid_namespace(pid: str = "self", root: str = "/proc") -> int | None:
    try:
        return Path(f"{root}/{pid}/ns/pid").stat().st_ino
    except OSError:
        return None


def cgroup_version(root: str = "/sys/fs/cgroup") -> str:
    """`1` or `2`; empty where neither is seen."""
    place = Path(root)
    if (place / "cgroup.controllers").exists():
        return "2"
    return "1" if (place / "memory").is_dir() or (place / "cpu").exists() else ""
