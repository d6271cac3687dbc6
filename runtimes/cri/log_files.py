"""Opens the files of a container's log: the file that the engine writes now, and the rotated files.

When a file is full, the kubelet renames it (`0.log` becomes `0.log.20260102-…`), and the engine begins a new file. The
kubelet compresses older files (.gz). Compressed files are not read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from core import errors

MAX_ROTATED_FILES = 16


def open_log_files(path: str, name: str) -> list[BinaryIO]:
    """Opens all readable files of one log, from the oldest to the one that is written now. The caller closes them.
    `name`: the container's name, for errors. Raises NotFound and Unreachable."""
    if not path:
        raise errors.NotFound(
            f"{name} has no log.",
            hint="Its pod has no log directory, so the engine writes no log. Create the pod again with "
            "`log_directory` set in its configuration.",
        )
    folder, base = Path(path).parent, Path(path).name
    with contextlib.ExitStack() as opened:
        files: list[BinaryIO] = []
        try:
            rotated = [entry for entry in folder.iterdir() if entry.name.startswith(f"{base}.")]
            rotated = sorted(entry for entry in rotated if entry.suffix not in (".gz", ".tmp"))
            for entry in rotated[-MAX_ROTATED_FILES:]:
                with contextlib.suppress(FileNotFoundError):  # compressed in the meantime
                    files.append(opened.enter_context(open_file(str(entry))))
            try:
                files.append(opened.enter_context(open_file(path)))
            except FileNotFoundError:  # rotated just now, unless there is no file at all
                if not files:
                    raise
        except OSError as error:
            raise unreadable(path, name, error) from error
        opened.pop_all()
    return files


def open_file(path: str) -> BinaryIO:
    """Opens one regular file for reading. Raises OSError."""
    # O_NONBLOCK: opening a pipe would wait for a writer. O_NOFOLLOW: whoever can write to the folder, such as a pod
    # that mounts the host's /var/log, could put a link to any file of this machine there.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is not a regular file")
    return file


def inode(file: BinaryIO) -> int:
    """Returns the inode number of an open file."""
    return os.fstat(file.fileno()).st_ino


def unreadable(path: str, name: str, error: OSError) -> errors.QuarterdeckError:
    """Converts an OSError about a log file into an error with a hint."""
    if isinstance(error, PermissionError):
        return errors.Unreachable(
            f"Quarterdeck is not allowed to read the log of {name}: {path}.",
            hint="Run Quarterdeck as root, or give its user read access to the folder.",
        )
    if error.errno == errno.ELOOP:
        return errors.Unreachable(
            f"The log of {name}, {path}, is a symbolic link. Quarterdeck does not follow links.",
            hint="Find out who created the link: engines write only regular files.",
        )
    if isinstance(error, FileNotFoundError) and Path(path).parent.exists():
        return errors.Unreachable(
            f"The log of {name}, {path}, does not exist.",
            hint="Somebody deleted the file, and the engine still writes to the deleted file. Wait until the kubelet"
            " rotates the log: then the engine begins a new file.",
        )
    if isinstance(error, FileNotFoundError):
        return errors.Unreachable(
            f"The log of {name}, {path}, does not exist on this host.",
            hint="If Quarterdeck runs in a container, mount /var/log/pods into it at the same path. If the engine"
            " is on another host, run an agent there.",
        )
    return errors.Unreachable(
        f"The log of {name}, {path}, cannot be read: {error.strerror or error}.",
        hint="Check the file, and the disk that it is on.",
    )
