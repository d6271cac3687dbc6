"""A file that another process appends lines to, followed as it grows: whole lines out, in the file's order, at once.

The kernel tells of changes (inotify on the folder, since the file may be replaced or may not be there yet). A file that
was renamed away is read to its end before its successor is begun; one that was cut is begun again. What a successor
repeats of its predecessor, as when a log is rotated by copying its last half, is left out as far as the last lines
reach. A line without its end waits for it. Bounded: a block at a time, a line of at most 1 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from pathlib import Path

from core import errors
from runtimes.kernel import inotify

BLOCK = 256 << 10
LONGEST_LINE = 1 << 20
REMEMBERED = 8192
LOOK_ANYWAY = 5.0  # seconds; some file systems tell nothing
HEAD = 64  # bytes by which a file that was cut and written anew is known
_CHANGES = (
    inotify.MODIFY | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE | inotify.ONLY_FOLDERS
)


class FileTail:
    """Opens at once, at the end of the file or with `whole` at its beginning; raises Unreachable where it cannot be
    read. Belongs to the running loop; `close` it."""

    def __init__(self, path: Path, *, whole: bool) -> None:
        self._path = path
        self._news = asyncio.Event()
        self._rest = b""
        self._recent: deque[int] = deque(maxlen=REMEMBERED)
        self._repeats: frozenset[int] = frozenset()
        self._file, self._inode = -1, 0
        self._at = 0
        self._head = b""
        self._inotify: inotify.Inotify | None = None
        try:
            self._open()
            if not whole:
                self._skip_to_end()
            self._inotify = inotify.Inotify(self._changed)
            self._inotify.add(str(path.parent), _CHANGES)
        except OSError as error:
            self.close()
            raise errors.Unreachable(f"{path} cannot be followed: {error.strerror or error}.") from error

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
        self._forget()

    def wake(self) -> None:
        self._news.set()

    async def news(self) -> None:
        """Returns when there may be something to read."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_ANYWAY):
                await self._news.wait()
        self._news.clear()

    def read(self) -> bytes:
        """The next whole lines, each with its newline; empty where there are none now."""
        while True:
            try:
                block = self._block()
                if not block and not self._replaced():
                    self._repeats = frozenset()  # a copy is whole before it takes its predecessor's place
                    return b""
            except OSError as error:
                raise errors.Unreachable(f"{self._path} cannot be read: {error.strerror or error}.") from error
            whole, newline, tail = block.rpartition(b"\n")
            if not newline:
                self._rest = b"" if len(self._rest) + len(block) > LONGEST_LINE else self._rest + block
                continue
            lines, self._rest = self._rest + whole + newline, tail
            if fresh := self._without_repeats(lines):
                return fresh

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _block(self) -> bytes:
        if self._file < 0:
            return b""
        block = os.pread(self._file, BLOCK, self._at)
        if os.pread(self._file, len(self._head), 0) != self._head:
            self._begin_again()  # cut, and written anew beyond where we were
            return b""
        if self._at < HEAD:
            self._head += block[: HEAD - self._at]
        self._at += len(block)
        return block

    def _replaced(self) -> bool:
        """Whether there is something to read from the beginning, or the rest of a file that has a successor."""
        if self._file >= 0 and os.fstat(self._file).st_size < self._at:
            self._begin_again()
            return True
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file >= 0 and now.st_ino == self._inode:
            return self._at == 0 and now.st_size > 0
        if self._file >= 0 and os.fstat(self._file).st_size > self._at:
            return True
        self._forget()
        self._open()
        return self._file >= 0

    def _begin_again(self) -> None:
        self._at, self._head, self._rest = 0, b"", b""
        self._repeats = frozenset(self._recent)

    def _open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if self._file < 0:
            return
        self._inode = os.fstat(self._file).st_ino
        self._begin_again()

    def _skip_to_end(self) -> None:
        if self._file >= 0:
            size = os.fstat(self._file).st_size
            self._head = os.pread(self._file, HEAD, 0)
            # What it ends with is remembered too: it may be rotated before the next line comes.
            last = os.pread(self._file, BLOCK, max(0, size - BLOCK))
            self._at = max(0, size - BLOCK) + len(last)
            whole, newline, self._rest = last.rpartition(b"\n")
            self._rest = self._rest if newline else b""
            self._recent.extend(map(hash, whole.split(b"\n")))

    def _forget(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _without_repeats(self, lines: bytes) -> bytes:
        each = lines.splitlines(keepends=True)
        if self._repeats:
            each = [line for line in each if hash(line[:-1]) not in self._repeats]
            lines = b"".join(each)
        self._recent.extend([hash(line[:-1]) for line in each])
        return lines

    def _changed(self, number: int, mask: int, name: str) -> None:
        self._news.set()
