"""Reads files safely from a directory of an ordinary user, who may have prepared them to mislead Quarterdeck.

A file is accepted only if it is a regular file, belongs to the owner of the directory, and has a reasonable size.
Symbolic links are not followed.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from core import errors

MAX_FILE_BYTES = 4 << 20  # Docker's bundles have about 40,000


def read_safely(path: str, uid: int) -> bytes:
    """Reads a file after checking it. `uid`: the owner that the file must have. Raises OSError and InvalidResponse."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise errors.InvalidResponse(
                f"The file {Path(path).name} is not a regular file, so Quarterdeck does not read it.",
                hint="Check who can write in the engine's state directory.",
            )
        if found.st_uid != uid:
            raise errors.InvalidResponse(
                f"The file {Path(path).name} does not belong to the owner of the state directory.",
                hint="Check who can write in that directory.",
            )
        if found.st_size > MAX_FILE_BYTES:
            raise _too_large(path)
        data = b""
        while len(data) <= MAX_FILE_BYTES and (block := os.read(handle, max(found.st_size - len(data), 0) + 1)):
            data += block
    finally:
        os.close(handle)
    if len(data) > MAX_FILE_BYTES:
        raise _too_large(path)
    return data


def owner_uid(path: str) -> int:
    """Returns the owner of a path. If it cannot be read, this is the owner of its nearest readable parent."""
    for candidate in (Path(path), *Path(path).parents):
        try:
            return candidate.lstat().st_uid
        except OSError:
            continue
    return 0


def user_name(uid: int) -> str:
    """Returns the name of a user, or `uid N` if the system has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _too_large(path: str) -> errors.InvalidResponse:
    return errors.InvalidResponse(
        f"The file {Path(path).name} is larger than {MAX_FILE_BYTES >> 20} MiB, so Quarterdeck does not read it.",
        hint="Check who can write in the engine's state directory.",
    )
