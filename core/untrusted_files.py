"""Opens files that another user may have prepared to block Quarterdeck, to mislead it, or to fill its memory.

A file is accepted only if it is a regular file of an expected owner. It is checked before it is opened for reading, so
a named pipe does not block, and no device is touched. The last part of a path is never followed if it is a symbolic
link. In the directories before it, only links of root and of Quarterdeck's own user are followed. Content is read up
to a limit, even if the file grows meanwhile.

A file may still be on a disk that does not respond: call these functions in a `core.file_thread.FileThread`. Linux
only.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections import deque
from collections.abc import Collection
from pathlib import Path

MAX_FILE_BYTES = 4 << 20
MAX_LINKS = 40  # in one path, as in the kernel
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class UntrustedFileError(OSError):
    """This file is not safe to read.

    `strerror` contains the reason, such as “it is not a regular file”.
    """

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(errno.EPERM, reason, path)


def read_file(path: str, owners: Collection[int], *, max_bytes: int = MAX_FILE_BYTES, real_parents: int = 0) -> bytes:
    """Reads a whole file. `owners`: the user ids that it may belong to. `real_parents`: see `open_folder`. Raises
    UntrustedFileError, also for a file larger than `max_bytes`, and OSError."""
    handle = open_file(path, owners, real_parents=real_parents)
    try:
        size = os.fstat(handle).st_size
        data = b""
        while len(data) <= max_bytes >= size:
            block = os.read(handle, min(max(size - len(data), 0), max_bytes - len(data)) + 1)
            if not block:
                return data
            data += block
    finally:
        os.close(handle)
    raise UntrustedFileError(f"it is larger than {max_bytes >> 20} MiB", path)


def open_file(path: str, owners: Collection[int], *, real_parents: int = 0) -> int:
    """Opens a regular file for reading and returns its descriptor, which the caller closes. `owners`: the user ids
    that it may belong to. `real_parents`: see `open_folder`. Raises UntrustedFileError and OSError."""
    folder = open_folder(str(Path(path).parent), real_parents=real_parents)
    try:
        return open_in(folder, Path(path).name, owners)
    finally:
        os.close(folder)


def open_in(folder: int, name: str, owners: Collection[int]) -> int:
    """Opens a regular file of an open folder for reading. Raises UntrustedFileError and OSError."""
    # Opening a path only (O_PATH) neither waits for a pipe's writer nor reaches a device.
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        found = os.fstat(handle)
        if stat.S_ISLNK(found.st_mode):
            raise UntrustedFileError("it is a symbolic link", name)
        if not stat.S_ISREG(found.st_mode):
            raise UntrustedFileError("it is not a regular file", name)
        if found.st_uid not in owners:
            expected = " or ".join(user_name(uid) for uid in sorted(owners))
            raise UntrustedFileError(f"it belongs to {user_name(found.st_uid)}, not to {expected}", name)
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(handle)


def open_folder(path: str, *, real_parents: int = 0) -> int:
    """Opens a folder by its absolute path and returns its descriptor, which the caller closes. Only links of root and
    of Quarterdeck's user are followed. The last `real_parents` parts must not be links at all: root inside a container
    may write there. Raises UntrustedFileError and OSError."""
    if not path.startswith("/"):
        raise UntrustedFileError("its path is not absolute", path)
    current = os.open("/", _FOLDER)
    parts, links = deque(Path(path).parts[1:]), 0
    try:
        while parts:
            part = parts.popleft()
            handle = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            if not stat.S_ISLNK(os.fstat(handle).st_mode):
                os.close(current)
                current = handle
                continue
            try:
                links += 1
                target = _link_target(handle, part, path, allowed=len(parts) >= real_parents and links <= MAX_LINKS)
            finally:
                os.close(handle)
            if target.is_absolute():
                os.close(current)
                current = os.open("/", _FOLDER)
            parts.extendleft(part for part in reversed(target.parts) if part != "/")
        # Only a directory has the entry “.”.
        return os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=current)
    finally:
        os.close(current)


def _link_target(handle: int, name: str, path: str, *, allowed: bool) -> Path:
    if not allowed or os.fstat(handle).st_uid not in (0, os.geteuid()):
        raise UntrustedFileError(f"the folder {name} in its path is a symbolic link", path)
    return Path(os.readlink("", dir_fd=handle))


def folder_path(folder: int) -> str:
    """Returns a path that names an open folder, whatever happens to its name."""
    return f"/proc/self/fd/{folder}"


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
