"""Reads pages of a CRI container's log, and follows the log, across rotated files.

The last lines are found by reading backwards from the end of the file. So only the lines of the page are read, at most
`MAX_BYTES_BACK`. A cursor contains a file's inode, an offset, and the time of the last line. If the file was deleted,
reading continues after that time, so that no line is read twice. All calls block on files: run them in a thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import BinaryIO

from core import errors
from core.model.results import MAX_PAGE_CHARACTERS, LogLine, LogPage
from runtimes.cri import log_files
from runtimes.cri.log_lines import LineParser, nanoseconds

BLOCK = 65_536
MAX_BYTES_PER_READ = 1 << 20
MAX_BYTES_BACK = 64 << 20
MAX_READS = 64  # of one call of `LogFollower.read`, while they contain no complete line
_COMPLETE_LINE = re.compile(rb"^[0-9T:.Z+-]+ std(?:out|err) F", re.MULTILINE)


def read_page(
    path: str,
    name: str,
    *,
    owners: Collection[int],
    tail: int,
    since_ns: int = 0,
    until_ns: int = 0,
    cursor: str = "",
    deadline: float = 0.0,
    max_characters: int = MAX_PAGE_CHARACTERS,
) -> LogPage:
    """Reads the last `tail` lines. With `since_ns` or `cursor`, only later lines count; with `until_ns`, only earlier
    ones, which are searched in the last MAX_BYTES_BACK of the log. `name`: the container's name,
    for errors. `owners`: the user ids that the files may belong to. `deadline`: of the monotonic clock, 0 for none.
    Raises NotFound, Unreachable and TimedOut."""
    inode, offset, last_ns = _decode_cursor(cursor)
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(file) for file in log_files.open_log_files(path, name, owners)]
        start = next(
            (n for n, file in enumerate(files) if log_files.inode(file) == inode and _began_by(file, last_ns)), None
        )
        parser = LineParser(
            tail,
            max_characters=max_characters,
            since_ns=last_ns + 1 if cursor and start is None else since_ns,
            until_ns=until_ns,
        )
        truncated = False
        pieces: Iterable[bytes]
        if start is not None:
            pieces = _read_forwards(files[start:], offset)
        else:
            pieces, truncated = _read_backwards(files, tail + 1, parser.since_ns, until_ns)
        for piece in pieces:
            if deadline and time.monotonic() > deadline:
                raise errors.TimedOut(
                    f"The log of {name} could not be read in time.",
                    sent=True,
                    hint="Ask for fewer lines with --tail, or for a shorter time with --since.",
                )
            parser.feed(piece)
        inode, offset = log_files.inode(files[-1]), files[-1].tell() - parser.rest_size
    parser.finish()
    lines, dropped = parser.take()
    last_ns = max((nanoseconds(line.at.encode()) or 0 for line in lines), default=last_ns)
    # When reading backwards, earlier lines are not counted: nobody asked for them, unless the limit was reached.
    dropped = dropped if start is not None else int(truncated) + parser.too_large
    return LogPage(lines=tuple(lines), cursor=f"{inode}:{offset}:{last_ns}", dropped=dropped)


class LogFollower:
    """Reads a log from its last lines on, and then each new line. Call `read` repeatedly: it does not wait for new
    lines."""

    def __init__(
        self, path: str, name: str, *, owners: Collection[int], tail: int, max_lines: int, since_ns: int = 0
    ) -> None:
        self._path, self._name = path, name
        self._owners = owners
        self._parser = LineParser(tail, since_ns=since_ns)
        *rotated, self._file = log_files.open_log_files(path, name, owners)
        try:
            with contextlib.ExitStack() as opened:
                files = [opened.enter_context(file) for file in rotated]
                for piece in _read_backwards([*files, self._file], tail + 1, since_ns)[0]:
                    self._parser.feed(piece)
        except BaseException:
            self._file.close()
            raise
        self._first = self._parser.take()[0]
        self._parser.max_lines = max_lines

    def read(self) -> tuple[list[LogLine], int]:
        """Returns complete lines since the last call: all those in the next `MAX_BYTES_PER_READ` bytes with any. Also
        returns how many lines were dropped because there were more than `max_lines`. Returns no lines and 0 if there is
        nothing new."""
        if self._first:
            first, self._first = self._first, []
            return first, 0
        lines: list[LogLine] = []
        dropped = 0
        for _ in range(MAX_READS):
            data = self._file.read(MAX_BYTES_PER_READ)
            while not data and self._switch_file():
                data = self._file.read(MAX_BYTES_PER_READ)
            self._parser.feed(data)
            lines, dropped = self._parser.take()
            if lines or dropped or not data:
                break
        return lines, dropped

    def read_unfinished(self) -> list[LogLine]:
        """Returns the lines whose end was never written. Call it after the container has ended."""
        self._parser.finish()
        return self._parser.take()[0]

    def close(self) -> None:
        self._file.close()

    def _switch_file(self) -> bool:
        """Opens the next file at the end of a rotated one. True if there is one, or if this file was truncated: then
        read again."""
        now = os.fstat(self._file.fileno())
        if self._file.tell() > now.st_size:  # truncated
            self._file.seek(0)
            return True
        try:
            if os.lstat(self._path).st_ino == now.st_ino:
                return False
            files = log_files.open_log_files(self._path, self._name, self._owners)
        except (OSError, errors.Unreachable):  # rotated, and the engine has not begun the new file yet
            return False
        place = next((n for n, file in enumerate(files) if log_files.inode(file) == now.st_ino), len(files) - 2)
        following = files[place + 1 : place + 2]
        for file in (*files[: place + 1], *files[place + 2 :]):
            file.close()
        if not following:
            return False
        # The next file has lines, so the engine has stopped writing to this one. What it wrote to it between the last
        # read and the rotation comes first.
        if data := self._file.read(MAX_BYTES_PER_READ):
            following[0].close()
            self._file.seek(-len(data), os.SEEK_CUR)
            return True
        self._file.close()
        (self._file,) = following
        self._parser.feed(b"\n")
        return True


def _read_backwards(
    files: Sequence[BinaryIO], lines: int, since_ns: int, until_ns: int = 0
) -> tuple[list[bytes], bool]:
    """Reads the end of the log in pieces: as many complete lines as asked for, or back to a time. With `until_ns`, the
    lines of a piece that ends later do not count. The first piece starts at the beginning of a line. Also returns
    whether `MAX_BYTES_BACK` was reached first. Leaves the last file where the last piece ends."""
    pieces: list[bytes] = []
    found = read = left = 0
    full, counts = False, not until_ns
    end = files[-1].seek(0, os.SEEK_END)  # what is written from now on belongs to the next read
    for file in reversed(files):
        if pieces:
            pieces.append(b"\n")
        left = end if file is files[-1] else file.seek(0, os.SEEK_END)
        while left > 0 and not full:
            size = min(BLOCK, left)
            left -= size
            file.seek(left)
            piece = file.read(size)
            pieces.append(piece)
            read += size
            found += len(_COMPLETE_LINE.findall(piece)) if counts else 0
            first_ns = nanoseconds(piece[piece.find(b"\n") + 1 :])
            counts = counts or (first_ns is not None and first_ns <= until_ns)
            full = found >= lines or read >= MAX_BYTES_BACK or (first_ns is not None and first_ns < since_ns)
        if full:
            break
    pieces.reverse()
    while left > 0 and pieces:  # the first piece begins in the middle of a line
        _, newline, pieces[0] = pieces[0].partition(b"\n")
        if newline:
            break
        del pieces[0]
    files[-1].seek(end)
    return pieces, read >= MAX_BYTES_BACK


def _read_forwards(files: Sequence[BinaryIO], offset: int) -> Iterator[bytes]:
    """Reads all files to their end. `offset`: where to start in the first file."""
    for number, file in enumerate(files):
        if number:
            yield b"\n"
        start = offset if number == 0 else 0
        # A file that was truncated in the meantime is read from its beginning.
        file.seek(start if start <= os.fstat(file.fileno()).st_size else 0)
        while piece := file.read(MAX_BYTES_PER_READ):
            yield piece


def _began_by(file: BinaryIO, last_ns: int) -> bool:
    """Returns False for a new file that got the inode of a deleted one. The first line of such a file is newer than the
    cursor."""
    file.seek(0)
    first_ns = nanoseconds(file.read(40))
    return first_ns is None or first_ns <= last_ns


def _decode_cursor(cursor: str) -> tuple[int, int, int]:
    """Decodes a cursor into inode, offset, and the time of the last line before the offset."""
    try:
        inode, offset, last_ns = map(int, (cursor or "-1:0:0").split(":"))
    except ValueError:
        raise errors.InvalidResponse(
            f"“{cursor[:64]}” is not a valid position in a log.", hint="Give the command again."
        ) from None
    return inode, max(0, offset), last_ns
