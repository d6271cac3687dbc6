"""Reads the exit code of a process that is not a child of this one.

Since Linux 6.15, a process that opened a pidfd before the end can read the code (PIDFD_INFO_EXIT of the ioctl
PIDFD_GET_INFO), once the parent has waited for the ended process. This needs no privilege. Older kernels report
nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct

_SIZE = 64  # bytes of struct pidfd_info in its first version; the kernel also accepts this size later
_GET_INFO = (3 << 30) | (_SIZE << 16) | (0xFF << 8) | 11
_EXIT = 1 << 3
_MASK_AT, _CODE_AT = 0, 60
SIGNAL_BASE = 128  # a process that was ended by signal 9 has the code 137, as in a shell


def read_exit_code(pidfd: int) -> int | None:
    """Returns the exit code of the process; None if the kernel does not report it, or not yet."""
    info = bytearray(_SIZE)
    struct.pack_into("<Q", info, _MASK_AT, _EXIT)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info)
    except OSError:
        return None
    if not struct.unpack_from("<Q", info, _MASK_AT)[0] & _EXIT:
        return None
    status: int = struct.unpack_from("<i", info, _CODE_AT)[0]
    return SIGNAL_BASE + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def is_awaited(pidfd: int) -> bool:
    """Whether the code may be reported later: the kernel has the ioctl, and nobody has waited for the process."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(pidfd, _GET_INFO, bytearray(_SIZE))
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))
    return False
