"""Reads the one file of a tar archive that an engine sends.

Nothing is unpacked, and the names in an archive are not used. So a path with `..` or a link in the archive has no
effect. Anything that is not an ordinary file is refused. A file that is larger than allowed is refused too, whatever
size its header claims.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, cast

from core import errors
from core.lazy_dataclass import dataclass
from core.model.inside_containers import MAX_FILE
from core.text import command_line
from runtimes.formats import json_field_types

OVERHEAD = 1 << 16  # bytes that an archive may have beside its one file
_AT_CONSOLE = "To copy the whole file, give at a console: `cp NAME:PATH -o FILE`. "
# By the type in the header of a member, as POSIX defines it.
_KINDS = {
    b"0": "",
    b"\0": "",
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a directory",
    b"6": "a named pipe",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFile:
    """One file. `modified_at`: Unix seconds; 0 if the archive has no usable time."""

    data: bytes
    modified_at: float


def read_file(chunks: Iterable[bytes], path: str, max_bytes: int) -> ArchivedFile:
    """Returns the file of an archive. `path`: where it was asked for, for messages. Raises BadUsage for anything but an
    ordinary file of at most `max_bytes`, InvalidResponse for a damaged archive, and what the chunks raise."""
    import tarfile  # noqa: PLC0415 (most processes copy nothing)

    try:
        with tarfile.open(fileobj=cast(BinaryIO, _Reader(chunks)), mode="r|") as archive:
            member = archive.next()
            if member is None:
                raise _damaged(path, "it is empty")
            check_kind(path, _KINDS.get(member.type, "not an ordinary file"))
            check_size(path, member.size, max_bytes)
            opened = archive.extractfile(member)
            data = opened.read(max_bytes + 1) if opened is not None else b""
            if len(data) != member.size:
                raise _damaged(path, f"it holds {len(data)} of {member.size} bytes")
            return ArchivedFile(data=data, modified_at=_usable_time(float(member.mtime)))
    except (tarfile.TarError, ValueError, OverflowError, EOFError, IndexError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _usable_time(seconds: float) -> float:
    # A program in the container chooses the time of its file. A comparison with NaN is False.
    return seconds if 0 <= seconds <= json_field_types.MAX_UNIX_SECONDS else 0.0


def check_kind(path: str, kind: str, link: str = "") -> None:
    """Raises BadUsage unless the file is an ordinary one. `kind`: its kind; empty for an ordinary file. `link`: where a
    link leads, if that is known."""
    if not kind:
        return
    hint = "Copy one ordinary file."
    if link:
        hint = f"Write the path that it leads to: {link}"
    elif kind == "a directory":
        hint = f"Copy the files in it one by one. List them with: exec NAME {command_line.quote(['ls', path])}"
    raise errors.BadUsage(f"{path} is {kind}, and only one ordinary file can be copied.", hint=hint)


def check_size(path: str, size: int, max_bytes: int) -> None:
    """Raises BadUsage for a file that is too large."""
    if size > max_bytes:
        raise errors.BadUsage(
            f"{path} has {size:,} bytes; at most {max_bytes:,} can be copied here.",
            hint=(_AT_CONSOLE if max_bytes < size <= MAX_FILE else "")
            + f"To read its beginning, give: exec NAME {command_line.quote(['head', path])}",
        )


def _damaged(path: str, reason: str) -> errors.InvalidResponse:
    return errors.InvalidResponse(
        f"The engine sent a damaged archive for {path}: {reason}.", hint="Give the command again."
    )


class _Reader:
    """Reads chunks as a file. `tarfile` calls nothing but `read`."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def read(self, size: int) -> bytes:
        parts, length = [self._rest], len(self._rest)
        while length < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]
