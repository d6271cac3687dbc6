"""Reads the size and the free space of the file system that holds an engine's data, if it is on this machine.

The path in the engine's answer may belong to another machine (a tunnel) or to another mount namespace (this process in
a container). So the module compares the folder as the engine's process sees it with the folder as Quarterdeck sees it.
If the engine's process is not visible, the path must be a mount point. Then somebody mounted the engine's folder into
Quarterdeck's container.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from core.model.disk_use import DataRoot, Filesystem
from runtimes.base import machine_name
from runtimes.transport import connect

MAX_THREADS = 64  # of the engine's process that are looked at


def read_filesystem(root: DataRoot, host: str) -> Filesystem | None:
    """Returns the file system of the folder. None if it is not on this machine, or cannot be read. `host`: the name of
    the engine's machine, as the engine reports it. May block for as long as the disk does not respond."""
    if not root.path.startswith("/"):
        return None
    try:
        if not _is_local(root, host):
            return None
        found, device = os.statvfs(root.path), Path(root.path).stat().st_dev
    except (OSError, ValueError):  # a path with a null byte
        return None
    return Filesystem(size=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize, device=device)


def _is_local(root: DataRoot, host: str) -> bool:
    pid, _ = connect.peer_credentials(root.socket)
    if not pid:
        return os.path.ismount(root.path)
    return host == machine_name.machine_name() and _sees_same_folder(pid, root.path)


def _sees_same_folder(pid: int, path: str) -> bool:
    """Whether a thread of the process sees this process's folder at that path. To copy files, Podman 5 moves one of its
    threads into the root of a container. If that was the main thread, it stays there until the service ends."""
    ours = Path(path).stat()
    for thread in itertools.islice(Path(f"/proc/{pid}/task").iterdir(), MAX_THREADS):
        try:
            theirs = Path(f"{thread}/root{path}").stat()
        except PermissionError:  # a process of another user hides its files: then the name of the machine decides
            return True
        except OSError:  # the thread ended, or its root has no such folder
            continue
        if os.path.samestat(theirs, ours):
            return True
    return False
