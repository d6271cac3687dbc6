"""Follows a file to which another process appends lines. Returns whole lines, in the file's order.

inotify watches the file's directory, because the file may be replaced or may not exist yet. A file that was renamed is
read to its end before its successor is read. A file that was truncated is read from its start. Some rotations copy the
last lines of the old file into the new file. So after a rotation, a line is skipped if it is one of the last
MAX_REMEMBERED lines that were returned. An unfinished line is returned when it is complete. If it becomes longer than
MAX_LINE bytes, the bytes so far are dropped.

The file may belong to another user, who can do anything with it; see `core.untrusted_files`. One call of `read` reads
at most MAX_READ bytes. A file that grows faster than it is read ends the tail when MAX_BEHIND bytes are unread. A
thread reads the file, because its disk may not respond.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from core import errors, file_thread, untrusted_files
from runtimes.kernel import inotify

BLOCK = 256 << 10  # bytes of one read
MAX_LINE = 1 << 20  # bytes
MAX_READ = 4 << 20  # bytes of one call
MAX_BEHIND = 64 << 20  # bytes
SECONDS = 10.0  # for one access to the file
MAX_REMEMBERED = 8192  # lines of the predecessor
POLL_SECONDS = 5.0  # some file systems send no inotify events
HEAD = 64  # bytes at the file's start; if they change, it was truncated and written again
_CHANGES = (
    inotify.MODIFY | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE | inotify.ONLY_DIRECTORIES
)


R = TypeVar("R")


class FileTail:
    """Reads the lines that are appended to a file. `from_start`: begins at the file's start, but at most MAX_BEHIND
    bytes before its end; otherwise at its end. `owners`: the user ids that the file may belong to. Belongs to the
    running event loop; the caller calls `open` first and `close` last. `skipped` counts the bytes that were not read
    at the start."""

    def __init__(self, path: Path, *, from_start: bool, owners: Collection[int]) -> None:
        self._path = path
        self._from_start = from_start
        self._owners = owners
        self._thread = file_thread.FileThread(f"tail {path.name}")
        self.skipped = 0
        self._unread = False
        self._changed = asyncio.Event()
        self._unfinished = b""
        self._recent: deque[int] = deque(maxlen=MAX_REMEMBERED)
        self._earlier_lines: frozenset[int] = frozenset()
        self._file, self._inode = -1, 0
        self._position = 0
        self._head = b""
        try:
            self._inotify = inotify.Inotify(self._on_change)
        except OSError as error:
            raise self._unreadable(error) from error

    async def open(self) -> None:
        """Opens the file, or waits for it if only its folder exists. Raises Unreachable and TimedOut."""
        await self._in_thread(self._open_first)

    async def read(self) -> bytes:
        """Returns the next whole lines, each with its newline; nothing if there are none now, or none within MAX_READ
        bytes. Raises Unreachable and TimedOut, and InvalidResponse if the file grows faster than it is read."""
        return await self._in_thread(self._read)

    def close(self) -> None:
        self._inotify.close()
        self._thread.close(self._close_file)

    async def wait(self) -> None:
        """Returns when there may be something to read, or when `wake` was called."""
        if self._unread:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._changed.wait()
        self._changed.clear()

    def wake(self) -> None:
        self._changed.set()

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _in_thread(self, function: Callable[[], R]) -> R:
        try:
            return await self._thread.run(function, SECONDS)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"The file {self._path} could not be read within {SECONDS:.0f} s.",
                sent=False,
                hint="Check the disk that the file is on.",
            ) from error
        except OSError as error:
            raise self._unreadable(error) from error

    def _open_first(self) -> None:
        folder = untrusted_files.open_folder(str(self._path.parent))
        try:
            self._inotify.add(untrusted_files.folder_path(folder), _CHANGES)
        finally:
            os.close(folder)
        self._open()
        if self._from_start:
            self._skip_to_newest()
        else:
            self._skip_to_end()

    def _read(self) -> bytes:
        self._unread = True
        for _ in range(MAX_READ // BLOCK):
            block = self._block()
            if not block and not self._has_more():
                self._earlier_lines = frozenset()  # a copy is complete before it replaces its predecessor
                self._unread = False
                return b""
            lines, newline, tail = block.rpartition(b"\n")
            if not newline:
                self._unfinished = b"" if len(self._unfinished) + len(block) > MAX_LINE else self._unfinished + block
                continue
            lines, self._unfinished = self._unfinished + lines + newline, tail
            if new := self._without_earlier_lines(lines):
                return new
        return b""

    def _block(self) -> bytes:
        if self._file < 0:
            return b""
        behind = os.fstat(self._file).st_size - self._position
        if behind > MAX_BEHIND:
            raise errors.InvalidResponse(
                f"The file {self._path} grows faster than Quarterdeck reads it: {behind >> 20} MiB are unread.",
                hint="Check which program writes so much to the file.",
            )
        block = os.pread(self._file, BLOCK, self._position)
        if os.pread(self._file, len(self._head), 0) != self._head:
            self._start_again()  # truncated, and written again beyond the position
            return b""
        if self._position < HEAD:
            self._head += block[: HEAD - self._position]
        self._position += len(block)
        return block

    def _has_more(self) -> bool:
        """Returns whether the file was truncated or replaced, or a file that has a successor is not read to its end."""
        if self._file >= 0 and os.fstat(self._file).st_size < self._position:
            self._start_again()
            return True
        try:
            now = os.lstat(self._path)
        except FileNotFoundError:
            return False
        if self._file >= 0 and now.st_ino == self._inode:
            return self._position == 0 and now.st_size > 0
        if self._file >= 0 and os.fstat(self._file).st_size > self._position:
            return True
        self._close_file()
        self._open()
        return self._file >= 0

    def _start_again(self) -> None:
        self._position, self._head, self._unfinished = 0, b"", b""
        self._earlier_lines = frozenset(self._recent)

    def _open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._file = untrusted_files.open_file(str(self._path), self._owners)
        if self._file < 0:
            return
        self._inode = os.fstat(self._file).st_ino
        self._start_again()

    def _skip_to_newest(self) -> None:
        if self._file >= 0 and (excess := os.fstat(self._file).st_size - MAX_BEHIND // 2) > MAX_BEHIND // 2:
            self._head = os.pread(self._file, HEAD, 0)
            self._position = self.skipped = excess

    def _skip_to_end(self) -> None:
        if self._file >= 0:
            size = os.fstat(self._file).st_size
            self._head = os.pread(self._file, HEAD, 0)
            # The last lines are remembered too: the file may be rotated before the next line is written.
            last = os.pread(self._file, BLOCK, max(0, size - BLOCK))
            self._position = max(0, size - BLOCK) + len(last)
            whole, newline, self._unfinished = last.rpartition(b"\n")
            self._unfinished = self._unfinished if newline else b""
            self._recent.extend(map(hash, whole.split(b"\n")))

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _without_earlier_lines(self, lines: bytes) -> bytes:
        each = lines.splitlines(keepends=True)
        if self._earlier_lines:
            each = [line for line in each if hash(line[:-1]) not in self._earlier_lines]
            lines = b"".join(each)
        self._recent.extend([hash(line[:-1]) for line in each])
        return lines

    def _unreadable(self, error: OSError) -> errors.Unreachable:
        return errors.Unreachable(
            f"The file {self._path} cannot be read for new lines: {error.strerror or error}.",
            hint="Check that the file exists and that the user that runs Quarterdeck may read it.",
        )

    def _on_change(self, number: int, mask: int, name: str) -> None:
        self._changed.set()
