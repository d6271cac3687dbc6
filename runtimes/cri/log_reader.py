"""A container's log as CRI keeps it: a file of `time stream tag text` lines, and those the kubelet moved aside before.

In comes the path an engine named, out come whole lines. The tag is P where a line goes on in the next one of its
stream (a long line, a prompt, CRI-O's every write), F where it ends. Tails are read backwards, so that a page costs
what it shows, and at most `FARTHEST` bytes. The kubelet moves a full file aside (`0.log` becomes `0.log.20260102-…`)
and has the engine begin a new one; older ones it packs (.gz), and those are not read. A place in a log is a file's
inode and an offset, with the time of the last line for when that file is gone: nothing is read twice. Plain files and
blocking calls: these are run in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from core import errors
from core.model.results import LogLine, LogPage

CLIP = 16_384
BLOCK = 65_536
TURN = 1 << 20  # bytes a follower takes at once
FARTHEST = 64 << 20
MOVED_ASIDE = 16  # files, at most
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")
_ENDED = re.compile(rb"^[0-9T:.Z+-]+ std(?:out|err) F", re.MULTILINE)
_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def page(path: str, name: str, *, tail: int, since_ns: int = 0, cursor: str = "", until: float = 0.0) -> LogPage:
    """The last lines, of those since a time or behind a cursor. `name`: what the container is called; `until`: the
    monotonic time by which it must be done, 0 for none. Raises Unreachable where the file cannot be read, TimedOut."""
    inode, offset, last_ns = _place(cursor)
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(file) for file in _files(path, name)]
        at = next((n for n, file in enumerate(files) if _inode(file) == inode and _begun_by(file, last_ns)), None)
        joined = Joined(tail, since_ns=last_ns + 1 if cursor and at is None else since_ns)
        too_far = False
        pieces: Iterable[bytes]
        if at is not None:
            pieces = _onwards(files[at:], offset)
        else:
            pieces, too_far = _backwards(files, tail + 1, joined.since_ns)
        for piece in pieces:
            if until and time.monotonic() > until:
                raise errors.TimedOut(
                    f"Reading the log of {name} took too long.",
                    sent=True,
                    hint="Ask for fewer lines with --tail, or for a shorter time with --since.",
                )
            joined.feed(piece)
        inode, offset = _inode(files[-1]), files[-1].tell() - joined.held
    joined.finish()
    lines, dropped = joined.take()
    last_ns = max((nanoseconds(line.at.encode()) or 0 for line in lines), default=last_ns)
    # Read backwards, nobody counts what lies before: it was not asked for, unless it was too much to read.
    dropped = dropped if at is not None else int(too_far)
    return LogPage(lines=tuple(lines), cursor=f"{inode}:{offset}:{last_ns}", dropped=dropped)


class Follower:
    """A log from its last lines on. `more` is called again and again, and does not wait."""

    def __init__(self, path: str, name: str, *, tail: int, keep: int, since_ns: int = 0) -> None:
        self._path = path
        self._joined = Joined(tail, since_ns=since_ns)
        *before, self._file = _files(path, name)
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(file) for file in before]
            for piece in _backwards([*files, self._file], tail + 1, since_ns)[0]:
                self._joined.feed(piece)
        self._first = self._joined.take()[0]
        self._joined.lines = deque(maxlen=keep)

    def more(self) -> tuple[list[LogLine], int]:
        """The whole lines since the last call, as far as `TURN` bytes reach, and how many of them were too many to
        keep. Neither: there is nothing more for now."""
        if self._first:
            first, self._first = self._first, []
            return first, 0
        data = self._file.read(TURN)
        while not data and self._moved_on():
            data = self._file.read(TURN)
        self._joined.feed(data)
        return self._joined.take()

    def rest(self) -> list[LogLine]:
        """Of a container that has ended: the lines it began and did not end."""
        self._joined.finish()
        return self._joined.take()[0]

    def close(self) -> None:
        self._file.close()

    def _moved_on(self) -> bool:
        """Whether to read on in a new file, or at the beginning of this one. Here everything was read of it."""
        now = os.fstat(self._file.fileno())
        if self._file.tell() > now.st_size:  # it was emptied
            self._file.seek(0)
            return True
        try:
            if Path(self._path).stat().st_ino == now.st_ino:
                return False
            new = _opened(self._path)
        except OSError:  # moved aside, and the engine has not begun a new one yet
            return False
        # What was written between our last look at the old file and the beginning of the new one comes first.
        if data := self._file.read(TURN):
            new.close()
            self._file.seek(-len(data), os.SEEK_CUR)
            return True
        self._file.close()
        self._file = new
        self._joined.feed(b"\n")
        return True


def _backwards(files: Sequence[BinaryIO], wanted: int, since_ns: int) -> tuple[list[bytes], bool]:
    """The end of the log in pieces, from the beginning of a line on: with so many ended lines in it, or back to a time.
    And whether it was broken off before. The last file is left at its end."""
    pieces: list[bytes] = []
    found = read = left = 0
    full = False
    for file in reversed(files):
        if pieces:
            pieces.append(b"\n")
        left = file.seek(0, os.SEEK_END)
        while left > 0 and not full:
            size = min(BLOCK, left)
            left -= size
            file.seek(left)
            piece = file.read(size)
            pieces.append(piece)
            read += size
            found += len(_ENDED.findall(piece))
            begun = nanoseconds(piece[piece.find(b"\n") + 1 :])
            full = found >= wanted or read >= FARTHEST or (begun is not None and begun < since_ns)
        if full:
            break
    pieces.reverse()
    while left > 0 and pieces:  # what came first begins in the middle of a line
        _, newline, pieces[0] = pieces[0].partition(b"\n")
        if newline:
            break
        del pieces[0]
    files[-1].seek(0, os.SEEK_END)
    return pieces, read >= FARTHEST


def _onwards(files: Sequence[BinaryIO], offset: int) -> Iterator[bytes]:
    for number, file in enumerate(files):
        if number:
            yield b"\n"
        begin = offset if number == 0 else 0
        # One that was emptied meanwhile begins anew.
        file.seek(begin if begin <= os.fstat(file.fileno()).st_size else 0)
        while piece := file.read(TURN):
            yield piece


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _files(path: str, name: str) -> list[BinaryIO]:
    """Those that can be read, oldest first and the one being written last. The caller closes them."""
    if not path:
        raise errors.NotFound(
            f"{name} has no log.", hint="Its pod was made without a log directory, so its engine keeps none."
        )
    folder, base = Path(path).parent, Path(path).name
    with contextlib.ExitStack() as opened:
        files: list[BinaryIO] = []
        try:
            aside = [entry for entry in folder.iterdir() if entry.name.startswith(f"{base}.")]
            aside = sorted(entry for entry in aside if entry.suffix not in (".gz", ".tmp"))
            for entry in aside[-MOVED_ASIDE:]:
                with contextlib.suppress(FileNotFoundError):  # packed meanwhile
                    files.append(opened.enter_context(_opened(str(entry))))
            try:
                files.append(opened.enter_context(_opened(path)))
            except FileNotFoundError:  # just moved aside, unless there is none at all
                if not files:
                    raise
        except OSError as error:
            raise _unreadable(path, name, error) from error
        opened.pop_all()
    return files


def _opened(path: str) -> BinaryIO:
    # Without waiting: where a pipe lies instead nobody may ever write. No link is followed: whoever may write to the
    # folder, as a pod with the host's /var/log may, could point it at any file of the machine.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is no file")
    return file


def _unreadable(path: str, name: str, error: OSError) -> errors.QuarterdeckError:
    if isinstance(error, PermissionError):
        return errors.Unreachable(
            f"The log of {name} is {path}, which this process may not read.",
            hint="Run Quarterdeck as root, or let its user read the folder.",
        )
    if error.errno == errno.ELOOP:
        return errors.Unreachable(
            f"The log of {name}, {path}, is a link to somewhere else, which is not followed.",
            hint="An engine writes plain files there: find out who put the link.",
        )
    if isinstance(error, FileNotFoundError) and Path(path).parent.exists():
        return errors.Unreachable(
            f"The log of {name}, {path}, is not there.",
            hint="Somebody took it away: the engine writes on into what has no name any more, and begins a new file"
            " when the kubelet asks it to.",
        )
    if isinstance(error, FileNotFoundError):
        return errors.Unreachable(
            f"The log of {name} should be {path}, and there is no such file here.",
            hint="Where Quarterdeck runs in a container, mount /var/log/pods into it at the same path; where the engine"
            " is on another host, run an agent there.",
        )
    return errors.Unreachable(f"The log of {name}, {path}, cannot be read: {error.strerror or error}.")


def _inode(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _begun_by(file: BinaryIO, last_ns: int) -> bool:
    """A file's inode is given to another one soon after it is gone; that one's first line is younger."""
    file.seek(0)
    first = nanoseconds(file.read(40))
    return first is None or first <= last_ns


def _place(cursor: str) -> tuple[int, int, int]:
    """Inode, offset, and the time of the last line before it."""
    try:
        inode, offset, last_ns = map(int, (cursor or "-1:0:0").split(":"))
    except ValueError:
        raise errors.InvalidResponse("That is no place in a log.") from None
    return inode, max(0, offset), last_ns


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Joined:
    """Feed it pieces of the file, take `lines`: the newest of them, older ones are counted. `since_ns`: only lines from
    then on. A line is cut at `CLIP` bytes."""

    def __init__(self, keep: int, *, since_ns: int = 0) -> None:
        self.lines: deque[LogLine] = deque(maxlen=keep)
        self.dropped = 0
        self.since_ns = since_ns
        self._rest = b""
        self._open: dict[str, tuple[str, bytearray, int]] = {}  # per stream: time, text, and bytes left out of it

    @property
    def held(self) -> int:
        """Bytes of a line that the file has not ended yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if line:
                self._take(line)

    def finish(self) -> None:
        """What was begun and is not ended is a line too."""
        for stream, (at, text, cut) in self._open.items():
            self._say(at, stream, bytes(text), cut)
        self._open.clear()

    def take(self) -> tuple[list[LogLine], int]:
        """The lines since the last take, and how many before them were dropped."""
        lines, dropped = list(self.lines), self.dropped
        self.lines.clear()
        self.dropped = 0
        return lines, dropped

    def _take(self, line: bytes) -> None:
        at, stream, goes_on, text = _parsed(line)
        if not goes_on and stream not in self._open and len(text) <= CLIP:
            self._say(at, stream, text, 0)
            return
        began, before, cut = self._open.pop(stream, (at, bytearray(), 0))
        room = CLIP - len(before)
        before += text[:room]
        cut += max(0, len(text) - room)
        if goes_on:
            self._open[stream] = (began, before, cut)
        else:
            self._say(began, stream, bytes(before), cut)

    def _say(self, at: str, stream: str, text: bytes, cut: int) -> None:
        if self.since_ns and at and (nanoseconds(at.encode()) or 0) < self.since_ns:
            return
        words = text.decode("utf-8", "replace").rstrip("\r")
        if cut:
            words += f"… ({cut:,} more bytes)"
        if len(self.lines) == self.lines.maxlen:
            self.dropped += 1
        self.lines.append(LogLine(at, stream, words))


def _parsed(line: bytes) -> tuple[str, str, bool, bytes]:
    """Time, stream, whether it goes on, text. What is no such line is text as it stands."""
    parts = line.split(b" ", 3)
    if len(parts) >= 3 and (stream := _STREAMS.get(parts[1])) and _TIME.fullmatch(parts[0]):
        # There may be several tags, with colons between; the first says whether the line goes on.
        return parts[0].decode(), stream, parts[2].split(b":", 1)[0] == b"P", parts[3] if len(parts) > 3 else b""
    return "", "stdout", False, line


def nanoseconds(text: bytes) -> int | None:
    """The time at the beginning of a line, in nanoseconds since the epoch."""
    found = _TIME.match(text)
    if found is None:
        return None
    zone = b"+00:00" if found[3] == b"Z" else found[3]
    try:
        whole = datetime.fromisoformat((found[1] + zone).decode())
    except ValueError:  # of the right form, and no day of any calendar
        return None
    return int(whole.timestamp()) * 1_000_000_000 + int((found[2] or b"0").ljust(9, b"0"))
