"""The private store server that runs when no `store.url` is configured: in goes a state directory, out comes the
address of a unix socket that answers.

Of all processes on one state directory the one that holds `store.lock` owns the server; the others are guests on its
socket, and whoever sees the owner go takes the lock and starts the next server on the same data. Two servers never
share the data: each inherits a lock on the data directory when it is born, and the kernel frees that lock when the
server and its children have ended, no sooner and no later, however its owner died. Lost with the power: at most the
last second of writes. Nothing is lost when a process is killed.

    store.lock   held by the owner; not inherited by the server      store/   the data, with the lock `in-use`
    store.sock   the socket; where that path is too long, `store.run` links to a short private directory that has it
    store.log    what the running server said; `store.log.1` the one before
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import stat
import subprocess
import threading
import urllib.parse
from pathlib import Path

import structlog

from core import errors, processes
from core.store import server as store_server

log = structlog.get_logger(__name__)

STEP = 0.02  # seconds between two looks while something starts or ends
WATCH = 5.0  # seconds between two PINGs while all is well; a server's end is seen at once, by its connection
GRACE = 5.0  # seconds between asking a server to end and ending it
POLITE = 0.5  # seconds an orphaned server gets to end by itself before it is told to
STEADY = 10.0  # a server that lived this long is replaced without a pause afterwards, else pauses grow
LONGEST_PAUSE = 5.0
LONGEST_PATH = 100  # bytes; the system allows 107 on Linux, 103 on macOS


class Role(enum.StrEnum):
    OWNER = "owner"
    GUEST = "guest"


class Embedded:
    """One process' part in the store of a state directory. `deadline`: seconds `ensure` waits for any one thing."""

    def __init__(self, state: Path, *, deadline: float = 10) -> None:
        self._state = state.absolute()
        self._deadline = deadline
        self._turn = asyncio.Lock()
        self._lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def url(self) -> str:
        """The address; stays the same whoever owns the server. Raises StoreDown if the state directory is unusable."""
        return f"unix://{urllib.parse.quote(str(self._socket()))}"

    async def ensure(self) -> Role:
        """Owns a server or finds one: afterwards the socket answers. Raises StoreDown with the cure if it cannot.

        Call it from the main thread: a server ends when the *thread* that started it does.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded store must be started from the main thread")
        async with self._turn:
            if self._closed:
                raise RuntimeError("the embedded store is closed")
            socket = self._socket()
            end = _now() + self._deadline
            while True:
                if self._take_lock():
                    await self._own(socket)
                    return Role.OWNER
                said = await store_server.ask(socket)
                if said == "+PONG":
                    return Role.GUEST
                if _now() > end:
                    raise self._guest_down(said)
                await asyncio.sleep(STEP)

    async def keep(self) -> None:
        """Endless: when the server dies or its owner leaves, sees to it that there is one again."""
        pause = 0.0
        while not self._closed:
            began, lived = _now(), 0.0
            try:
                await self._until_gone(self._socket())
                lived = _now() - began
                if not self._closed:
                    role = await self.ensure()
                    log.warning("The embedded store was gone and is back.", role=role.value)
            except errors.StoreDown as down:
                log.warning("The embedded store is gone.", reason=down.full_message())
            pause = 0.0 if lived >= STEADY else min(max(0.1, pause * 2), LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """The owner ends its server and lets go of the lock; a guest only forgets. Cancel `keep` before."""
        self._closed = True
        async with self._turn:
            await self._stop()
            self._drop_lock()

    async def _own(self, socket: Path) -> None:
        """Under the lock: keeps the server we have, or starts one."""
        if self._server is not None:
            said = await self._first_words(socket)
            if said == "+PONG":
                return
            if said:
                raise self._loading(said)
            # It ended, or is alive and did not answer for a whole deadline: either way it is replaced.
            await self._stop()
        try:
            self._server = await self._spawn(socket)
            await self._see_it_start(socket)
        except errors.StoreDown:
            if self._server is None:
                self._drop_lock()  # another process may be luckier
            raise

    async def _see_it_start(self, socket: Path) -> None:
        assert self._server is not None
        said = await self._first_words(socket)
        if said == "+PONG":
            return
        code = self._server.poll()
        if code is None:
            raise self._loading(said)
        self._server = None
        journal = self._state / "store.log"
        raise errors.StoreDown(
            f"The embedded store did not start (exit status {code}): {store_server.last_line(journal)}",
            hint=f"See {journal}, or set `store.url` to a store of your own.",
        )

    async def _first_words(self, socket: Path) -> str:
        """`+PONG`, what it says instead at the deadline, or nothing: it has ended or is mute."""
        assert self._server is not None
        end = _now() + self._deadline
        while True:
            said = await store_server.ask(socket)
            if self._server.poll() is not None:
                return ""
            if said == "+PONG" or _now() > end:
                return said
            await asyncio.sleep(STEP)

    async def _spawn(self, socket: Path) -> subprocess.Popen[bytes]:
        folder = self._state / "store"
        try:
            claim = store_server.open_lock(folder / "in-use")
            try:
                await self._predecessor_gone(claim, socket)
                return store_server.start(socket, folder, claim, self._state / "store.log")
            finally:
                os.close(claim)  # the server has its own copy now
        except OSError as error:
            raise _unusable(folder, error) from error

    async def _predecessor_gone(self, claim: int, socket: Path) -> None:
        """Returns with the lock on the data, once the server before has ended."""
        began = _now()
        while not store_server.locked(claim):
            waited = _now() - began
            if waited > self._deadline:
                data = self._state / "store"
                raise errors.StoreDown(
                    f"An earlier store server still uses {data} and does not end.",
                    hint=f"`fuser {data}/in-use` names the process: end it and start again.",
                )
            # Its owner is gone, for we hold the owner's lock. Where a parent's death sends no signal, we say it.
            if waited > POLITE:
                await store_server.ask(socket, b"SHUTDOWN\r\n")
            await asyncio.sleep(STEP)

    async def _stop(self) -> None:
        server = self._server
        if server is None:
            return
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if server.poll() is None:
                server.send_signal(signum)
            end = _now() + GRACE
            while server.poll() is None and _now() < end:  # noqa: ASYNC110 - also reaps it
                await asyncio.sleep(STEP)
        self._server = None

    async def _until_gone(self, socket: Path) -> None:
        """Returns when the server has closed our connection, does not answer, or is left without an owner."""
        async with store_server.connected(socket) as talk:
            while talk is not None and store_server.present(socket):
                if not (await talk.ask(b"PING\r\n")).startswith(("+PONG", "-LOADING")):
                    return
                if not await talk.silent(WATCH):
                    return
                if self._lock is None and self._take_lock():
                    return

    def _take_lock(self) -> bool:
        if self._lock is not None:
            return True
        path = self._state / "store.lock"
        try:
            if self._foreign():
                return False  # root beside somebody else's bot: what root started here, its owner could not use
            lock = store_server.open_lock(path)
            if not store_server.locked(lock):
                os.close(lock)
                return False
        except OSError as error:
            raise _unusable(path, error) from error
        self._lock = lock
        return True

    def _drop_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _foreign(self) -> bool:
        return self._state.stat().st_uid != os.geteuid()

    def _socket(self) -> Path:
        """The socket's path; makes the state directory and whatever leads to the socket."""
        try:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = self._state.stat()
            if about.st_uid != os.geteuid() and os.geteuid() != 0:
                raise PermissionError(0, f"it belongs to user {about.st_uid}")
            if not self._foreign() and stat.S_IMODE(about.st_mode) != 0o700:
                held = [entry.name for entry in self._state.iterdir()]
                if held and not any(name.startswith("store.") for name in held):
                    # Somebody else's: /tmp, a home. Made private, it would shut others out.
                    raise PermissionError(0, "others may use it and it holds files that are not Quarterdeck's")
                self._state.chmod(0o700)
            plain = self._state / "store.sock"
            return plain if len(os.fsencode(plain)) <= LONGEST_PATH else self._short(about.st_uid) / plain.name
        except OSError as error:
            raise _unusable(self._state, error) from error

    def _short(self, owner: int) -> Path:
        """A private directory with a short path. The link to it decides for all, whatever their environment."""
        link = self._state / "store.run"
        while not link.is_symlink() and not self._foreign():
            made = processes.make_socket_dir("quarterdeck-")
            try:
                link.symlink_to(made)
            except FileExistsError:
                made.rmdir()  # another process was first
        folder = link.readlink()
        if not self._foreign():
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)  # cleaned away: the same name again, so that open stores find it
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != owner or about.st_mode & 0o077:
            raise errors.StoreDown(
                f"{folder} should be a private directory of ours and is not.",
                hint=f"Remove {link}, then stop and start every Quarterdeck process of this state directory.",
            )
        return folder

    def _guest_down(self, said: str) -> errors.StoreDown:
        if said:
            return self._loading(said)
        if self._foreign():
            owner = self._state.stat().st_uid
            return errors.StoreDown(
                f"The state directory {self._state} belongs to user {owner}, and no store runs there.",
                hint="Start Quarterdeck as that user, or choose a state directory of your own.",
            )
        return errors.StoreDown(
            f"Another Quarterdeck process owns the store of {self._state}, but that store does not answer.",
            hint=f"See {self._state}/store.log; `fuser {self._state}/store.lock` names the process.",
        )

    def _loading(self, said: str) -> errors.StoreDown:
        return errors.StoreDown(
            f"The embedded store is not ready yet{': ' + said.lstrip('-') if said else ''}.",
            hint=f"Try again in a few seconds; {self._state}/store.log tells how far it is.",
        )


def _unusable(path: Path, error: OSError) -> errors.StoreDown:
    return errors.StoreDown(
        f"{path} cannot be used for the embedded store: {error.strerror or error}.",
        hint="The state directory and all in it must belong to the user Quarterdeck runs as, on a disk that can be "
        "written; on a mounted volume, use a directory inside the mount.",
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
