"""Runs a private Redis or Valkey server in the state directory if `store.url` is not configured.

Several processes may use one state directory. The process that holds the lock `store.lock` owns the server. When it
ends, another process takes the lock and starts the next server on the same data. Each server inherits a lock on the
data, so two never use it at once. A power failure loses at most two seconds of writes; a killed process loses nothing.

    store.lock   held by the owner; not inherited by the server      store/   the data, with the lock `in-use`
    store.sock   the socket; if that path is too long, `store.run` links to a short private directory that has it
    store.log    the log of the running server; `store.log.1` is the log of the one before
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

from core import errors, processes, trusted_files
from core.repeated_log import RepeatedLog
from core.store import server_process

log = structlog.get_logger(__name__)
POLL_SECONDS = 0.02  # between two checks while a server starts or ends
PING_SECONDS = 5.0  # between two PINGs; the end of a server is seen at once, by its connection
KILL_AFTER_SECONDS = 5.0  # from SIGTERM to SIGKILL
ORPHAN_SECONDS = 0.5  # how long an orphaned server may take to end by itself before it gets SHUTDOWN
STEADY_SECONDS = 10.0  # a server that ran this long is replaced at once, otherwise pauses grow
MAX_PAUSE_SECONDS = 5.0
MAX_SOCKET_PATH = 100  # bytes; the system allows 107 on Linux, 103 on macOS


class EmbeddedStore:
    """Starts, watches and ends the server of one state directory, for one process. `deadline`: seconds each step of
    `ensure` may take. `max_bytes`: of the server's memory; beyond, it refuses writes. `visits`: root may use the store
    of another user's bot."""

    def __init__(
        self, state: Path, *, deadline: float = 10, max_bytes: int = server_process.MAX_BYTES, visits: bool = True
    ) -> None:
        self._state, self._max_bytes, self._visits = state.absolute(), max_bytes, visits
        self._deadline = deadline
        self._starting = asyncio.Lock()
        self._lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.fault = ""
        """Why no server runs, and what helps; empty if one runs."""

    @property
    def url(self) -> str:
        """Returns the address, the same for all processes. Raises StoreDown if the state directory is unusable."""
        return f"unix://{urllib.parse.quote(str(self._socket()))}"

    async def ensure(self) -> Role:
        """Starts a server, or finds a running one. The socket answers afterwards. Raises StoreDown if neither works.

        Call it from the main thread: a server ends when the *thread* that started it does.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded store must be started from the main thread")
        try:
            role = await self._ensure()
        except errors.StoreDown as down:
            self.fault = down.full_message()
            raise
        self.fault = ""
        return role

    async def _ensure(self) -> Role:
        async with self._starting:
            if self._closed:
                raise RuntimeError("the embedded store is closed")
            socket = self._socket()
            end = _now() + self._deadline
            while True:
                if self._take_lock():
                    await self._run_server(socket)
                    return Role.OWNER
                answer = await server_process.ask(socket)
                if answer == "+PONG":
                    return Role.GUEST
                if _now() > end:
                    raise self._guest_down(answer)
                await asyncio.sleep(POLL_SECONDS)

    async def watch(self) -> None:
        """Runs forever: when the server dies or its owner ends, makes sure that a server runs again."""
        pause, repeated = 0.0, RepeatedLog()
        while not self._closed:
            started, lived = _now(), 0.0
            try:
                await self._until_gone(self._socket())
                lived = _now() - started
                if not self._closed:
                    role = await self.ensure()
                    log.warning("The embedded store was restarted.", role=role.value)
            except errors.StoreDown as down:
                if times := repeated.due(down.full_message()):
                    log.warning(
                        "The embedded store stopped and could not be restarted yet.",
                        reason=down.full_message(),
                        times=times,
                    )
            pause = 0.0 if lived >= STEADY_SECONDS else min(max(0.1, pause * 2), MAX_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Ends the server and releases the lock if this process is the owner. Does nothing for a guest. Cancel `watch`
        before."""
        self._closed = True
        async with self._starting:
            await self._stop()
            self._drop_lock()

    async def _run_server(self, socket: Path) -> None:
        """Returns if the server of this process, the owner, answers; otherwise starts one."""
        if self._server is not None:
            answer = await self._first_answer(socket)
            if answer == "+PONG":
                return
            if answer:
                raise self._not_ready(answer)
            # It has ended, or it is alive and did not answer within the deadline: either way it is replaced.
            await self._stop()
        try:
            self._server = await self._spawn(socket)
            await self._await_start(socket)
        except errors.StoreDown:
            if self._server is None:
                self._drop_lock()  # another process may succeed
            raise

    async def _await_start(self, socket: Path) -> None:
        assert self._server is not None
        answer = await self._first_answer(socket)
        if answer == "+PONG":
            return
        code = self._server.poll()
        if code is None:
            raise self._not_ready(answer)
        self._server = None
        raise server_process.start_failure(self._state, code)

    async def _first_answer(self, socket: Path) -> str:
        """Returns `+PONG`, another answer at the deadline, or an empty string if the server has ended or does not
        answer."""
        assert self._server is not None
        end = _now() + self._deadline
        while True:
            answer = await server_process.ask(socket)
            if self._server.poll() is not None:
                return ""
            if answer == "+PONG" or _now() > end:
                return answer
            await asyncio.sleep(POLL_SECONDS)

    async def _spawn(self, socket: Path) -> subprocess.Popen[bytes]:
        folder = self._state / "store"
        try:
            data_lock = server_process.open_lock(folder / "in-use")
            try:
                await self._await_predecessor(data_lock, socket)
                log_file = self._state / "store.log"
                return server_process.start_server(socket, folder, data_lock, log_file, self._max_bytes)
            finally:
                os.close(data_lock)  # the server has its own copy now
        except OSError as error:
            raise server_process.unusable(folder, error) from error

    async def _await_predecessor(self, data_lock: int, socket: Path) -> None:
        """Waits until the previous server has ended, and takes the lock on the data."""
        started = _now()
        while not server_process.try_lock(data_lock):
            waited = _now() - started
            if waited > self._deadline:
                data = self._state / "store"
                raise errors.StoreDown(
                    f"An earlier store server still uses {data} and does not end.",
                    hint=f"Find the process with `fuser {data}/in-use` and end it, then start Quarterdeck again.",
                )
            # Its owner has ended, since this process holds the owner's lock. Outside Linux no signal tells the server.
            if waited > ORPHAN_SECONDS:
                await server_process.ask(socket, b"SHUTDOWN\r\n")
            await asyncio.sleep(POLL_SECONDS)

    async def _stop(self) -> None:
        server = self._server
        if server is None:
            return
        if server.poll() is None:
            with contextlib.suppress(errors.StoreDown):  # the state directory was removed
                await server_process.ask(self._socket(), b"SHUTDOWN\r\n")  # it takes effect sooner than a signal
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if server.poll() is None:
                server.send_signal(signum)
            end = _now() + KILL_AFTER_SECONDS
            while server.poll() is None and _now() < end:  # noqa: ASYNC110 - also reaps it
                await asyncio.sleep(POLL_SECONDS)
        self._server = None

    async def _until_gone(self, socket: Path) -> None:
        """Returns when the server has closed the connection, does not answer, or has no owner any more."""
        async with server_process.connected(socket) as connection:
            while connection is not None and server_process.present(socket):
                if not (await connection.ask(b"PING\r\n")).startswith(("+PONG", "-LOADING")):
                    return
                if not await connection.stays_open(PING_SECONDS):
                    return
                if self._lock is None and self._take_lock():
                    return

    def _take_lock(self) -> bool:
        if self._lock is not None:
            return True
        path = self._state / "store.lock"
        try:
            if self._foreign():
                return False  # root beside another user's bot: that user could not use a server started by root
            lock = server_process.open_lock(path)
            if not server_process.try_lock(lock):
                os.close(lock)
                return False
        except OSError as error:
            raise server_process.unusable(path, error) from error
        self._lock = lock
        return True

    def _drop_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _foreign(self) -> bool:
        return self._state.stat().st_uid != os.geteuid()

    def _socket(self) -> Path:
        """Returns the socket's path. Creates the state directory and, if needed, the short directory of the socket."""
        try:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = self._state.stat()
            if about.st_uid != os.geteuid() and not (os.geteuid() == 0 and self._visits):
                raise PermissionError(0, f"it belongs to user {about.st_uid}")
            if not self._foreign() and stat.S_IMODE(about.st_mode) != 0o700:
                entries = [entry.name for entry in self._state.iterdir()]
                if entries and not any(name.startswith("store.") for name in entries):
                    # Not Quarterdeck's own directory (/tmp, a home): making it private would lock others out.
                    raise server_process.shared(self._state)
                self._state.chmod(0o700)
            if not self._foreign() and (reason := trusted_files.find_reason_for_distrust(self._state)):
                refused = PermissionError(0, f"it {reason}")
                raise server_process.unusable(self._state, refused, trusted_files.hint("directory"))
            direct = self._state / "store.sock"
            return (
                direct if len(os.fsencode(direct)) <= MAX_SOCKET_PATH else self._short_dir(about.st_uid) / direct.name
            )
        except OSError as error:
            raise server_process.unusable(self._state, error) from error

    def _short_dir(self, owner: int) -> Path:
        """Returns a private directory with a short path. All processes follow the link to it, whatever their
        environment."""
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
                folder.mkdir(mode=0o700)  # it was cleaned up: the same name again, so that running processes find it
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != owner or about.st_mode & 0o077:
            raise errors.StoreDown(
                f"The directory {folder} does not belong to user {owner}, or other users may use it.",
                hint=f"Remove {link}, then restart every Quarterdeck process of this state directory.",
            )
        return folder

    def _guest_down(self, answer: str) -> errors.StoreDown:
        if answer:
            return self._not_ready(answer)
        if self._foreign():
            owner = self._state.stat().st_uid
            return errors.StoreDown(
                f"The state directory {self._state} belongs to user {owner}; Quarterdeck runs as user {os.geteuid()}.",
                hint=f"Start Quarterdeck as user {owner}, or set `state` in quarterdeck.yaml to another directory.",
            )
        return errors.StoreDown(
            f"Another Quarterdeck process owns the store of {self._state}, but that store does not answer.",
            hint=f"Read {self._state}/store.log. Find the process with `fuser {self._state}/store.lock`, and"
            " restart it.",
        )

    def _not_ready(self, answer: str) -> errors.StoreDown:
        return errors.StoreDown(
            f"The embedded store is not ready yet{': ' + answer.lstrip('-') if answer else ''}.",
            hint=f"Try again in a few seconds; {self._state}/store.log shows its progress.",
        )


class Role(enum.StrEnum):
    """OWNER: this process started the server and ends it. GUEST: another process did."""

    OWNER = "owner"
    GUEST = "guest"


def _now() -> float:
    return asyncio.get_running_loop().time()
