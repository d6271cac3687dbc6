"""Opens the files of a container's log: the file that the engine writes now, and the rotated files.

When a file is full, the kubelet renames it (`0.log` becomes `0.log.20260102-…`), and the engine begins a new file. The
kubelet compresses older files (.gz). Compressed files are not read.

A pod may mount the host's folder of logs and write into it, as root. So the folders of the pod and of the container
must not be links; see `core.untrusted_files`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from core import errors, untrusted_files

MAX_ROTATED_FILES = 16
MAX_FOLDER_ENTRIES = 10_000
REAL_PARENTS = 2  # the folders of the pod and of the container


def open_log_files(path: str, name: str, owners: Collection[int]) -> list[BinaryIO]:
    """Opens all readable files of one log, from the oldest to the newest. The caller closes them. `name`: the
    container's name, for errors. `owners`: the user ids that the files may belong to. Raises NotFound and Unreachable.

    An empty newest file is left out if there is an older one: the engine may still write to that one. It makes the new
    file first and writes to it a moment later."""
    if not path:
        raise errors.NotFound(
            f"{name} has no log.",
            hint="Its pod has no log directory, so the engine writes no log. Create the pod again"
            " with `log_directory` in its configuration.",
        )
    files: list[BinaryIO] = []
    try:
        _open_all(path, owners, files)
    except OSError as error:
        for file in files:
            file.close()
        raise unreadable(path, name, error) from error
    return files


def _open_all(path: str, owners: Collection[int], files: list[BinaryIO]) -> None:
    """Opens the files of the log into `files`. Raises OSError. The newest file is opened first: if it is rotated in the
    meantime, it is also the last one of the rotated files, and counts once."""
    folder = untrusted_files.open_folder(str(Path(path).parent), real_parents=REAL_PARENTS)
    missing: FileNotFoundError | None = None
    try:
        try:
            files.append(_reader(untrusted_files.open_in(folder, Path(path).name, owners)))
        except FileNotFoundError as error:  # rotated just now, unless there is no file at all
            missing = error
        newest = {inode(file) for file in files}
        for entry in _rotated(folder, Path(path).name)[-MAX_ROTATED_FILES:]:
            with contextlib.suppress(FileNotFoundError):  # compressed in the meantime
                files.insert(len(files) - len(newest), _reader(untrusted_files.open_in(folder, entry, owners)))
    finally:
        os.close(folder)
    if not files and missing is not None:
        raise missing
    *rotated, last = files
    if rotated and not missing and (inode(rotated[-1]) == inode(last) or os.fstat(last.fileno()).st_size == 0):
        files.pop().close()


def _reader(handle: int) -> BinaryIO:
    return os.fdopen(handle, "rb")


def _rotated(folder: int, base: str) -> list[str]:
    with os.scandir(untrusted_files.folder_path(folder)) as entries:
        names = [entry.name for entry in itertools.islice(entries, MAX_FOLDER_ENTRIES)]
    return sorted(name for name in names if name.startswith(f"{base}.") and not name.endswith((".gz", ".tmp")))


def inode(file: BinaryIO) -> int:
    """Returns the inode number of an open file."""
    return os.fstat(file.fileno()).st_ino


def unreadable(path: str, name: str, error: OSError) -> errors.QuarterdeckError:
    """Converts an OSError about a log file into an error with a hint."""
    if isinstance(error, PermissionError):
        return errors.Unreachable(
            f"Quarterdeck is not allowed to read the log of {name}: {path}.",
            hint="Run Quarterdeck as root, or give its user read access to the file and its folders.",
        )
    if isinstance(error, untrusted_files.UntrustedFileError):
        return errors.Unreachable(
            f"The log of {name}, {path}, was not read: {error.strerror}.",
            hint="The engine writes its logs to regular files of its own. If somebody else made this file, remove it.",
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
