"""The kernel's word that something changed in a folder, as asyncio reads it: inotify(7) through libc.

    with inotify.Inotify(changed) as kernel:
        number = kernel.add("/run/runc", inotify.CREATE | inotify.DELETE)

`changed(number, mask, name)` is called on the event loop for each change, in order; `OVERFLOW` with number -1 says that
some were lost. A folder that goes away ends its own watch and is told with `IGNORED`.
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
ONLY_FOLDERS, NO_LINKS = 0x0100_0000, 0x0200_0000
_HEAD = struct.Struct("iIII")
_BLOCK = 64 << 10  # bytes of one reading
_LIBC = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Belongs to the running loop. Raises OSError where the kernel gives no more of them."""

    def __init__(self, changed: Callable[[int, int, str], None]) -> None:
        self._changed = changed
        self._handle = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._handle, self._read)

    def add(self, path: str, mask: int) -> int:
        """The watch's number. Raises OSError: the path is gone, may not be read, or there are too many watches."""
        return _checked(_LIBC.inotify_add_watch(self._handle, os.fsencode(path), ctypes.c_uint32(mask)))

    def drop(self, number: int) -> None:
        """One that has ended by itself may be dropped again."""
        _LIBC.inotify_rm_watch(self._handle, number)

    def close(self) -> None:
        if self._handle >= 0:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Inotify:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        try:
            block = os.read(self._handle, _BLOCK)
        except BlockingIOError:
            return
        place = 0
        while place < len(block):
            number, mask, _, length = _HEAD.unpack_from(block, place)
            place += _HEAD.size
            name = block[place : place + length].rstrip(b"\0")
            place += length
            self._changed(number, mask, os.fsdecode(name))


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
