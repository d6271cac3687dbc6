"""A line to an engine's socket on another host: the system's ssh client keeps it forwarded to a private one here.

One ssh process per engine, started on first use and ended with us, forwards for all connections; everything people have
in their ssh configuration (aliases, jump hosts, agents) holds. Host keys are checked strictly and nobody is ever asked:
a host that is not known yet, or not the one it was, is refused. What ssh says is kept as its last lines and becomes the
one sentence with its cure. A process that ended is started anew on the next use, after a pause that grows while it
fails; connections open at that moment are lost, and whoever used them is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
from collections import deque
from pathlib import Path

from core import errors, processes, supervise
from runtimes.transport import connect as transport_connect
from runtimes.transport import ssh_errors
from runtimes.transport.endpoint import Endpoint, Ssh

CONNECT_TIMEOUT = 10  # seconds ssh itself waits for the other host
ALIVE_EVERY, ALIVE_MISSED = 15, 3  # seconds between questions whether the host is there, and how many may go unanswered
LOOK = 0.02  # seconds between looks for the forwarded socket
LATE_WORD = 0.3  # seconds ssh's own word may come after the connection it is about was lost
LAST_LINES, LONGEST_LINE = 20, 400
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindUnlink": "yes",
    "ConnectTimeout": str(CONNECT_TIMEOUT),
    "ServerAliveInterval": str(ALIVE_EVERY),
    "ServerAliveCountMax": str(ALIVE_MISSED),
    # This process is ours alone: not a guest on somebody's shared connection, not the owner of one.
    "ControlMaster": "no",
    "ControlPath": "none",
    "ForkAfterAuthentication": "no",
    "PermitLocalCommand": "no",
    "LogLevel": "INFO",
}


class SshDialer:
    """`blind`, since the socket here takes connections whether or not somebody listens over there."""

    blind = True

    def __init__(self, endpoint: Endpoint, files: Ssh, *, rng: random.Random | None = None) -> None:
        self._endpoint, self._files = endpoint, files
        self._rng = rng or random.Random()  # noqa: S311 (jitter, not a secret)
        self._pace = supervise.Backoff(base=0.5, cap=8.0)
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[errors.Unreachable | None] | None = None
        self._standing = False
        self._failures = 0
        self._again_at = 0.0
        self._failure: errors.Unreachable | None = None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._refused: errors.Unreachable | None = None
        self._spoke = asyncio.Event()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the ssh process, while there is one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        loop, socket = asyncio.get_running_loop(), await self._open()
        process, self._refused = self._process, None
        try:
            await loop.create_unix_connection(lambda: protocol, sock=await transport_connect.dial(str(socket)))
        except OSError:
            # The process is gone, which its own end has not told us yet: a new one, once.
            if self._process is process:
                await self._end()
            try:
                socket = await self._open()
                await loop.create_unix_connection(lambda: protocol, sock=await transport_connect.dial(str(socket)))
            except OSError as error:
                raise self._why() from error

    async def explain(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        """ssh knows why: the far socket could not be opened, or it ended itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATE_WORD):
                while self._refused is None and self._alive():
                    self._spoke.clear()
                    await self._spoke.wait()
        told = self._refused or (None if self._alive() else self._why())
        return lost if told is None else errors.Unreachable(told.message, sent=lost.sent, hint=told.hint)

    async def aclose(self) -> None:
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # ── the process ──────────────────────────────────────────────────────────────────────────────────────────────

    def _alive(self) -> bool:
        return self._standing and self._listening is not None and not self._listening.done()

    async def _open(self) -> Path:
        """The socket here that leads there, its process started where none runs. Raises Unreachable."""
        if self._closed:
            raise errors.Unreachable(f"The client of {self._endpoint} is closed.")
        if not self._alive():
            loop = asyncio.get_running_loop()
            if self._starting is None or self._starting.done():
                if self._failure is not None and loop.time() < self._again_at:
                    raise errors.Unreachable(self._failure.message, hint=self._failure.hint)
                self._starting = loop.create_task(self._start(), name=f"open {self._endpoint}")
            # Whoever has no more time leaves; the others, and the next, still want it.
            if (failure := await asyncio.shield(self._starting)) is not None:
                raise errors.Unreachable(failure.message, hint=failure.hint)
        return self._socket()

    def _socket(self) -> Path:
        if self._folder is None:
            self._folder = processes.make_socket_dir("quarterdeck-ssh-")
        return self._folder / "s"

    async def _start(self) -> errors.Unreachable | None:
        """Why it does not stand; None when it does."""
        await self._end()
        loop = asyncio.get_running_loop()
        try:
            failure = await self._spawn()
        except BaseException:
            await self._end()
            raise
        self._standing = failure is None
        self._failures = 0 if failure is None else self._failures + 1
        self._failure = failure
        if failure is not None:
            await self._end()
            pause = supervise.backoff_seconds(self._failures, self._pace.base, self._pace.cap, self._rng)
            self._again_at = loop.time() + pause
        return failure

    async def _spawn(self) -> errors.Unreachable | None:
        socket = self._socket()
        socket.unlink(missing_ok=True)
        self._lines.clear()
        try:
            self._process = await processes.start(
                command(self._endpoint, self._files, socket),
                name=f"The ssh client for {self._endpoint}",
                env={**os.environ, "LC_ALL": "C"},  # its messages are parsed
                hint="Install the ssh client. On Debian: apt-get install openssh-client",
            )
        except errors.Unreachable as error:
            return error
        name = f"ssh to {self._endpoint.host}"
        self._listening = asyncio.get_running_loop().create_task(self._listen(self._process), name=name)
        while not socket.is_socket():
            done, _ = await asyncio.wait({self._listening}, timeout=LOOK)
            if done:
                return self._why()
        return None

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keeps the last lines of what ssh says, until it ends."""
        assert process.stderr is not None
        rest = b""
        while said := await process.stderr.read(4096):
            *whole, rest = (rest + said).split(b"\n")
            rest = rest[-4096:]
            for line in whole:
                self._hear(line)
        if rest:
            self._hear(rest)
        await process.wait()
        self._spoke.set()

    def _hear(self, said: bytes) -> None:
        line = said.decode("utf-8", "replace").strip()[:LONGEST_LINE]
        if line:
            self._lines.append(line)
            self._refused = ssh_errors.channel(self._endpoint, self._files, line) or self._refused
            self._spoke.set()

    def _why(self) -> errors.Unreachable:
        return ssh_errors.explain(self._endpoint, self._files, tuple(self._lines))

    async def _end(self) -> None:
        self._standing = False
        process, listening, self._listening, self._process = self._process, self._listening, None, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if listening is not None:
            done, _ = await asyncio.wait({listening}, timeout=2)
            if not done:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.wait({listening}, timeout=2)
                listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def command(endpoint: Endpoint, files: Ssh, socket: Path) -> list[str]:
    """The words ssh is started with. The host comes last, after `--`: it can never be taken for an option."""
    words = ["ssh", "-N", "-T", "-n", "-a", "-x"]
    if files.config:
        words += ["-F", files.config]
    options = dict(OPTIONS)
    if files.known_hosts:
        options |= {"UserKnownHostsFile": _quoted(files.known_hosts), "GlobalKnownHostsFile": "/dev/null"}
    if files.identity:
        options["IdentitiesOnly"] = "yes"
        words += ["-i", files.identity]
    words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    words += ["-L", f"{socket}:{endpoint.path}"]
    if endpoint.port:
        words += ["-p", str(endpoint.port)]
    if endpoint.user:
        words += ["-l", endpoint.user]
    return [*words, "--", endpoint.host]


def _quoted(path: str) -> str:
    # That option takes several files, parted by spaces.
    return f'"{path}"' if " " in path else path
