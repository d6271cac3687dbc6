"""Raises the limit on open files (RLIMIT_NOFILE) of this process.

Its soft limit is often 1,024, for programs that use `select`. Quarterdeck keeps files open for each container and each
connection, and does not use `select`.
"""

from __future__ import annotations

import resource

MAX_OPEN_FILES = 1 << 20  # asked for if the hard limit is higher; some programs try to close each possible file


def raise_limit() -> int:
    """Raises the soft limit to the hard limit, and returns how many files may be open. Never raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft
    return most
