"""Writes systemd unit files: completely or not at all, only over Quarterdeck's own files, and never through a link.

The machine's files are in /etc and belong to root. A user's files are in the user's home. If root writes a user's
files, they become the user's own. Root follows no links in the path, and every directory must belong to the user:
otherwise another person could make root write elsewhere. A file that Quarterdeck did not write is never replaced.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from core import errors, untrusted_files
from core.lazy_dataclass import dataclass
from runtimes.systemd.systemctl import UnixUser

MARK = "Written by Quarterdeck for the container "
"""The beginning of the first line, after `# `, of every file that Quarterdeck writes."""
QUADLETS, UNITS = "containers/systemd", "systemd/system"
USER_QUADLETS, USER_UNITS = ".config/containers/systemd", ".config/systemd/user"
ETC = Path("/etc")
MAX_READ = 1 << 20  # bytes of an existing file


def write_unit_file(directory: Directory, name: str, text: str, *, mode: int) -> bool:
    """Writes one file. Returns False if the file was up to date already. Raises Refused for a file that Quarterdeck did
    not write, and EngineError if the directory cannot be written to."""
    try:
        data = text.encode()
        with _opened(directory) as descriptor:
            existing = _read(descriptor, name, directory)
            if existing is not None and not existing.startswith(f"# {MARK}".encode()):
                raise errors.Refused(
                    f"{directory.path / name} exists and was not written by Quarterdeck.",
                    hint="Move the file away, or give the container another name.",
                )
            if existing == data:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_IMODE(found.st_mode) == mode:
                    return False
            _replace(descriptor, name, data, mode, directory)
            return True
    except OSError as error:
        raise errors.EngineError(
            f"{directory.path / name} could not be written: {error.strerror or error}.",
            hint="Give the user that runs Quarterdeck write access to that directory."
            if isinstance(error, PermissionError)
            else "Check the disk that the directory is on: its free space, and whether it is read-only.",
        ) from error


def first_line(container: str) -> str:
    """Returns the first line of a unit file, without its `# `."""
    return f"{MARK}{container}; installing the unit again overwrites changes."


def directory_for(style: str, owner: UnixUser | None) -> Directory:
    """Returns the directory in which systemd, or Quadlet's generator, looks for the files of `owner`; None: the
    machine's files."""
    quadlet = style == "quadlet"
    if owner is None:
        return Directory(root=ETC, parts=(QUADLETS if quadlet else UNITS).split("/"))
    return Directory(root=owner.home, parts=(USER_QUADLETS if quadlet else USER_UNITS).split("/"), owner=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Describes a directory for unit files. `root` exists and is trusted; `parts` are the directories below it, which
    are made if they are missing. `owner`: the user that owns them; None: root."""

    root: Path
    parts: Sequence[str]
    owner: UnixUser | None = None

    @property
    def path(self) -> Path:
        return self.root.joinpath(*self.parts)


@contextlib.contextmanager
def _opened(directory: Directory) -> Iterator[int]:
    """Opens a directory, and makes it first if it is missing."""
    # Only directories of another user need care: one's own links are trusted.
    untrusted = directory.owner is not None and os.geteuid() != directory.owner.uid
    current = os.open(directory.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if untrusted:
            _check_owner(current, directory, directory.root)
        path = directory.root
        for part in directory.parts:
            path /= part
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=current)
                if untrusted and directory.owner is not None:
                    # Not followed: if it was replaced by a link meanwhile, the link changes its owner, not the target.
                    os.chown(part, directory.owner.uid, directory.owner.gid, dir_fd=current, follow_symlinks=False)
            try:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if untrusted else 0)
                next_level = os.open(part, flags, dir_fd=current)
            except NotADirectoryError:
                raise _not_a_directory(path, directory) from None
            except OSError as error:
                raise _not_a_directory(path, directory) if untrusted and path.is_symlink() else error from None
            os.close(current)
            current = next_level
            if untrusted:
                _check_owner(current, directory, path)
        yield current
    finally:
        os.close(current)


def _check_owner(current: int, directory: Directory, path: Path) -> None:
    assert directory.owner is not None
    if os.fstat(current).st_uid != directory.owner.uid:
        raise errors.Refused(
            f"{path} does not belong to {directory.owner.name}, so root does not write files in it.",
            hint=f"Give the directory to {directory.owner.name} (chown), or run Quarterdeck as {directory.owner.name}.",
        )


def _not_a_directory(path: Path, directory: Directory) -> errors.QuarterdeckError:
    owner = directory.owner.name if directory.owner is not None else "root"
    return errors.Refused(
        f"{path} is a link or not a directory; root does not follow links in the home of {owner}.",
        hint=f"Put a directory at this path, or run Quarterdeck as {owner}.",
    )


def _read(descriptor: int, name: str, directory: Directory) -> bytes | None:
    """Returns the content of the file; None if it does not exist, empty if it is not a regular file of the owner."""
    owners = {os.geteuid(), 0 if directory.owner is None else directory.owner.uid}
    try:
        file = untrusted_files.open_in(descriptor, name, owners)
    except FileNotFoundError:
        return None
    except untrusted_files.UntrustedFileError:
        return b""
    try:
        return os.read(file, MAX_READ)
    finally:
        os.close(file)


def _replace(descriptor: int, name: str, data: bytes, mode: int, directory: Directory) -> None:
    # systemd and Quadlet do not read files with this suffix, so an incomplete one does no harm.
    temporary = f".{name}.{secrets.token_hex(6)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o600, dir_fd=descriptor)
    try:
        try:
            with open(file, "wb", closefd=False) as stream:
                stream.write(data)
            os.fchmod(file, mode)
            if directory.owner is not None and os.geteuid() != directory.owner.uid:
                os.fchown(file, directory.owner.uid, directory.owner.gid)
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(temporary, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=descriptor)
        raise
    os.fsync(descriptor)
