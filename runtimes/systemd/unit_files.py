"""Where the files of units are written, and how: whole or not at all, ours or not at all, and never where a link leads.

For the machine's systemd they are in /etc and root's. For a user's they are in the user's home, and written there by
root they are given to the user; on the way down no link is followed and no folder is entered that is not the user's,
since whoever owns a folder could have root write elsewhere. A file we did not write is never replaced.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import errors
from runtimes.systemd.systemctl import Person

MARK = "Written by Quarterdeck for the container "
"""The beginning of the first line, after its `# `, of every file we write."""
QUADLETS, UNITS = "containers/systemd", "systemd/system"
USER_QUADLETS, USER_UNITS = ".config/containers/systemd", ".config/systemd/user"
ETC = Path("/etc")
LONGEST = 1 << 20  # bytes of a file that is there already and is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """`root`: what is there and trusted; `below`: the folders made on the way down from it. `owner`: whom it all
    belongs to, None for root."""

    root: Path
    below: Sequence[str]
    owner: Person | None = None

    @property
    def path(self) -> Path:
        return self.root.joinpath(*self.below)


def folder(style: str, owner: Person | None) -> Folder:
    """Where systemd, or Quadlet's generator, looks for the files of `owner`; None: the machine's."""
    quadlet = style == "quadlet"
    if owner is None:
        return Folder(root=ETC, below=(QUADLETS if quadlet else UNITS).split("/"))
    return Folder(root=owner.home, below=(USER_QUADLETS if quadlet else USER_UNITS).split("/"), owner=owner)


def write(place: Folder, name: str, text: str, *, mode: int) -> bool:
    """Whether anything had to be written. Raises Refused for what is not ours to write over, and EngineError where the
    folder cannot be written to."""
    try:
        data = text.encode()
        with _entered(place) as inside:
            there = _read(inside, name, place)
            if there is not None and not there.startswith(f"# {MARK}".encode()):
                raise errors.Refused(
                    f"{place.path / name} is there already and was not written by Quarterdeck.",
                    hint="Move it away, or give the container another name.",
                )
            if there == data and stat.S_IMODE(os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode) == mode:
                return False
            _replace(inside, name, data, mode, place)
            return True
    except OSError as error:
        raise errors.EngineError(
            f"{place.path / name} could not be written: {error.strerror or error}.",
            hint="Who runs Quarterdeck has to be able to write there.",
        ) from error


def mark(container: str) -> str:
    """The words of the first line, without its `# `."""
    return f"{MARK}{container}; it writes over changes when it is installed again."


@contextlib.contextmanager
def _entered(place: Folder) -> Iterator[int]:
    """A descriptor of the folder, made where it was missing."""
    # Only what another one owns is walked with care: our own links are ours.
    careful = place.owner is not None and os.geteuid() != place.owner.uid
    here = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if careful:
            _refuse_other(here, place, place.root)
        path = place.root
        for part in place.below:
            path /= part
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=here)
                if careful and place.owner is not None:
                    # Given by name, not followed: a link put here meanwhile is what changes hands, not its goal.
                    os.chown(part, place.owner.uid, place.owner.gid, dir_fd=here, follow_symlinks=False)
            try:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if careful else 0)
                below = os.open(part, flags, dir_fd=here)
            except NotADirectoryError:
                raise _no_folder(path, place) from None
            except OSError as error:
                raise _no_folder(path, place) if careful and path.is_symlink() else error from None
            os.close(here)
            here = below
            if careful:
                _refuse_other(here, place, path)
        yield here
    finally:
        os.close(here)


def _refuse_other(here: int, place: Folder, path: Path) -> None:
    assert place.owner is not None
    if os.fstat(here).st_uid != place.owner.uid:
        raise errors.Refused(f"{path} does not belong to {place.owner.name}; root writes nothing there for them.")


def _no_folder(path: Path, place: Folder) -> errors.QuarterdeckError:
    who = place.owner.name if place.owner is not None else "root"
    return errors.Refused(
        f"{path} is a link or no folder; root follows no links in the home of {who}.",
        hint=f"Make it a folder, or run Quarterdeck as {who}.",
    )


def _read(inside: int, name: str, place: Folder) -> bytes | None:
    """What the file holds; None where there is none. A link, a pipe or the like holds nothing of ours."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except FileNotFoundError:
        return None
    except OSError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode):
            return b""
        raise error from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return b""
        return os.read(file, LONGEST)
    finally:
        os.close(file)


def _replace(inside: int, name: str, data: bytes, mode: int, place: Folder) -> None:
    # Its ending keeps systemd and Quadlet from reading one that was left half written.
    part = f".{name}.{secrets.token_hex(6)}.part"
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=inside)
    try:
        try:
            with open(file, "wb", closefd=False) as stream:
                stream.write(data)
            os.fchmod(file, mode)
            if place.owner is not None and os.geteuid() != place.owner.uid:
                os.fchown(file, place.owner.uid, place.owner.gid)
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(part, name, src_dir_fd=inside, dst_dir_fd=inside)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=inside)
        raise
    os.fsync(inside)
