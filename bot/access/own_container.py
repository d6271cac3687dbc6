"""Which containers we are, and where our store lives: read from what the kernel shows a process of its own cgroup and
mounts, from this machine's name, and from the store's address.

A container's id is 64 hex digits; engines put it into the cgroup path (v1, or v2 without a cgroup namespace) and into
the sources of /etc/hostname, /etc/hosts and /etc/resolv.conf, which they mount from the container's own folder. Where
they show neither, its first 12 digits are the host name they gave the container. Nothing is asked of an engine here:
`bot.access.policy.ours` holds these facts against the containers an engine lists.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import urllib.parse
from pathlib import Path

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_OWN_FILES = re.compile(r" /etc/(?:hostname|hosts|resolv\.conf) ")
_SHORT_ID = re.compile(r"[0-9a-f]{12}")


def own_containers(proc: Path = Path("/proc/self")) -> frozenset[str]:
    """The ids of the containers this process runs in; empty on a plain host."""
    return frozenset(from_cgroup(_read(proc / "cgroup")) | from_mounts(_read(proc / "mountinfo")))


def own_name(hostname: str | None = None) -> str:
    """This machine's name where it is the beginning of a container's id, else nothing."""
    name = socket.gethostname() if hostname is None else hostname
    return name if _SHORT_ID.fullmatch(name) else ""


def store_host(url: str) -> str:
    """The name a store's address calls its machine by; nothing for a socket, an address in digits or this machine."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "" if host == "localhost" or not url.startswith(("redis:", "rediss:")) else host
    return ""


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
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""
