"""Reads the state of one control group (cgroup): whether it is frozen, and how many of its processes were OOM-killed.

Works for version 1 and version 2. `folder` is the group's folder below the kernel's own mount.
"""

from __future__ import annotations

import contextlib
import os

FILE_SIZE = 8192  # bytes read of one file; the kernel's files here are smaller


def is_frozen(folder: str) -> bool:
    """Returns whether the processes of a group are frozen (paused)."""
    state = read_kernel_file(f"{folder}/freezer.state") or read_kernel_file(f"{folder}/cgroup.freeze")
    return state.strip() in ("FROZEN", "FREEZING", "1")


def oom_kills(folder: str) -> int | None:
    """Returns how many processes were OOM-killed in this group; None if the number cannot be read."""
    for name in ("memory.events", "memory.oom_control"):
        for line in read_kernel_file(f"{folder}/{name}").splitlines():
            field, _, count = line.partition(" ")
            if field == "oom_kill" and count.isdecimal():
                return int(count)
    return None


def open_oom_notifier(folder: str) -> int:
    """Returns an eventfd. The kernel writes to it when a version 1 group runs out of memory, and when the group is
    removed. The caller closes it. Raises OSError."""
    notifier = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    with contextlib.ExitStack() as opened:
        try:
            source = os.open(f"{folder}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, source)
            control = os.open(f"{folder}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
            opened.callback(os.close, control)
            os.write(control, f"{notifier} {source}".encode())
        except OSError:
            os.close(notifier)
            raise
    return notifier


def read_kernel_file(path: str) -> str:
    """Returns the text of a small file of the kernel; empty if it cannot be read. Links are not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        return os.read(handle, FILE_SIZE).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(handle)
