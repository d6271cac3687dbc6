"""Opens the private socket `commands.sock` in the state directory, on which the running bot answers `quarterdeck do`.

Only one process per state directory listens: the one that holds the lock `commands.lock`. The kernel releases the lock
however that process ends. So the socket of a killed bot is replaced, and the socket of a running bot is never replaced.
The state directory must belong to this user alone. Only a socket is ever removed from it. This works on Linux only:
other systems do not report who is at the other end of a socket.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from bot.console.command_frames import SOCKET
from core import trusted_files

LOCK = "commands.lock"
BACKLOG = 16
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CommandSocket:
    """A listening socket in the open folder `folder`."""

    def __init__(self, listener: socket.socket, folder: int) -> None:
        self.listener = listener
        self._folder = folder
        self._inode = self._found()

    @property
    def state(self) -> list[int]:
        """The device and the inode of the state directory, which no other directory has."""
        found = os.fstat(self._folder)
        return [found.st_dev, found.st_ino]

    @property
    def present(self) -> bool:
        """Whether its name in the state directory still leads to it."""
        return self._inode is not None and self._found() == self._inode

    def _found(self) -> int | None:
        try:
            return os.stat(SOCKET, dir_fd=self._folder, follow_symlinks=False).st_ino
        except OSError:
            return None


@contextlib.contextmanager
def opened(state: Path) -> Iterator[CommandSocket | None]:
    """Opens the socket, and removes it at the end. Yields None as long as another process has it. Raises OSError
    if the state directory cannot be used for it."""
    if not hasattr(socket, "SO_PEERCRED"):
        yield None
        return
    with contextlib.ExitStack() as stack:
        folder = _open_folder(state)
        stack.callback(os.close, folder)
        lock = os.open(LOCK, _LOCK_FILE, 0o600, dir_fd=folder)
        stack.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        made = CommandSocket(stack.enter_context(_listen(folder)), folder)
        try:
            yield made
        finally:
            if made.present:
                _remove(folder)


def _open_folder(state: Path) -> int:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(state, _FOLDER)
    found = os.fstat(folder)
    reason = ""
    if found.st_uid != os.geteuid():
        reason = "it belongs to another user"
    elif why := trusted_files.find_reason_for_distrust(state):
        reason = f"it {why}"
    if reason:
        os.close(folder)
        raise PermissionError(0, reason)
    return folder


def _listen(folder: int) -> socket.socket:
    """Binds the socket in place of one that a killed process left. Nobody can connect before it is private."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(SOCKET, dir_fd=folder, follow_symlinks=False).st_mode):
            raise FileExistsError(0, f"{SOCKET} in it is not a socket")
        _remove(folder)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # By the descriptor: the path may be longer than the address of a socket can be.
        address = f"/proc/self/fd/{folder}/{SOCKET}"
        listener.bind(address)
        Path(address).chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove(folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET, dir_fd=folder)
