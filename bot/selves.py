"""Which containers we are: read from what the kernel shows a process of its own cgroup and mounts.

A container's id is 64 hex digits; engines put it into the cgroup path (v1, or v2 without a cgroup namespace) and into
the sources of /etc/hostname, /etc/hosts and /etc/resolv.conf, which they mount from the container's own folder.
"""

from __future__ import annotations

import re
from pathlib import Path

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_OWN_FILES = re.compile(r" /etc/(?:hostname|hosts|resolv\.conf) ")


def own_containers(proc: Path = Path("/proc/self")) -> frozenset[str]:
    """The ids of the containers this process runs in; empty on a plain host."""
    return frozenset(from_cgroup(_read(proc / "cgroup")) | from_mounts(_read(proc / "mountinfo")))


def from_cgroup(text: str) -> set[str]:
    return {found for line in text.splitlines() for found in _ID.findall(line.rpartition(":")[2])}


def from_mounts(text: str) -> set[str]:
    # Only those three: a bot that mounts /var/lib/docker sees every container's folder in its other mounts.
    return {
        found
        for line in text.splitlines()
        if _OWN_FILES.search(line)
        for root in line.split()[3:4]
        for found in _ID.findall(root)
    }


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
