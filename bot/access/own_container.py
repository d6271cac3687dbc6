"""Finds the ids of the containers that this process runs in, so that no command can stop these containers.

A container's id has 64 hex digits. Engines put it into the cgroup path (v1, or v2 without a cgroup namespace). They
also put it into the paths of the files that they mount at /etc/hostname, /etc/hosts and /etc/resolv.conf. If no path
contains the id, the host name of this process is used as the first 12 digits of the id. This module reads /proc and
calls no engine. `bot.access.protected_resources` compares the ids with the containers that an engine lists.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_MOUNTED_FILES = re.compile(r" /etc/(?:hostname|hosts|resolv\.conf) ")
_SHORT_ID = re.compile(r"[0-9a-f]{12}")


def find_own_container_ids(proc: Path = Path("/proc/self")) -> frozenset[str]:
    """Returns the ids of the containers that this process runs in. Empty outside a container."""
    return frozenset(ids_in_cgroup(_read(proc / "cgroup")) | ids_in_mountinfo(_read(proc / "mountinfo")))


def container_id_prefix(hostname: str | None = None) -> str:
    """Returns the host name if it can be the first 12 digits of a container's id, else an empty string."""
    name = socket.gethostname() if hostname is None else hostname
    return name if _SHORT_ID.fullmatch(name) else ""


def ids_in_cgroup(text: str) -> set[str]:
    return {found for line in text.splitlines() for found in _ID.findall(line.rpartition(":")[2])}


def ids_in_mountinfo(text: str) -> set[str]:
    # Only those three files: a bot that mounts /var/lib/docker sees every container's directory in its other mounts.
    return {
        found
        for line in text.splitlines()
        if _MOUNTED_FILES.search(line)
        for root in line.split()[3:4]
        for found in _ID.findall(root)
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""
