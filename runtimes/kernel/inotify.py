"""Watches directories for changes on the event loop, with inotify(7) through libc.

    with inotify.Inotify(changed) as watches:
        number = watches.add("/run/runc", inotify.CREATE | inotify.DELETE)

`changed(number, mask, name)` is called for each change, in order. `OVERFLOW` with number -1 means that some changes
were lost. If a watched directory is removed, the last change of its watch is `IGNORED`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from types import TracebackType

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x002, 0x008, 0x040, 0x080
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
OVERFLOW, IGNORED = 0x4000, 0x8000
ONLY_DIRECTORIES, NO_SYMLINKS = 0x0100_0000, 0x0200_0000
_EVENT = struct.Struct("iIII")
_BLOCK = 64 << 10  # bytes of one read
_LIBC = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Watches directories. Belongs to the running event loop. Raises OSError if the user has too many inotify
    instances."""

    def __init__(self, changed: Callable[[int, int, str], None]) -> None:
        self._changed = changed
        self._descriptor = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def add(self, path: str, mask: int) -> int:
        """Adds a watch and returns its number. Raises OSError if the path is missing or unreadable, or if the user has
        too many watches."""
        return _checked(_LIBC.inotify_add_watch(self._descriptor, os.fsencode(path), ctypes.c_uint32(mask)))

    def remove(self, number: int) -> None:
        """Ends a watch; does nothing if it has already ended."""
        _LIBC.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Inotify:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        try:
            block = os.read(self._descriptor, _BLOCK)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(block):
            number, mask, _, length = _EVENT.unpack_from(block, offset)
            offset += _EVENT.size
            name = block[offset : offset + length].rstrip(b"\0")
            offset += length
            self._changed(number, mask, os.fsdecode(name))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
