"""Connects to an engine's socket on another host, which the system's ssh client forwards to a private local socket.

There is one ssh process per engine. The process starts at the first use, serves all connections, and ends with
Quarterdeck. The user's own ssh configuration applies (aliases, jump hosts, agents). Host keys are checked strictly and
ssh never asks questions: an unknown or changed host is refused. The last lines that ssh wrote become the error message
and its cure. If the process ended, the next use starts another process, after a pause that grows with each failure. The
connections that were open are lost, and their users get an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections import deque
from pathlib import Path

from core import errors, processes, supervise, tasks, trusted_files
from runtimes.transport import connect, ssh_errors
from runtimes.transport.endpoint import Endpoint, Ssh

CONNECT_TIMEOUT = 10  # seconds that ssh itself waits for the other host
KEEPALIVE_SECONDS, KEEPALIVE_MISSED = 15, 3  # how often ssh checks that the host answers, and how many may be missed
POLL_SECONDS = 0.02  # pause between checks for the forwarded socket
LATE_SECONDS = 0.3  # how long ssh's own message may come after the connection that it is about was lost
TERMINATE_SECONDS = 2  # how long ssh gets to end after a signal
MAX_LINES, MAX_LINE = 20, 400  # of what ssh wrote; characters
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindUnlink": "yes",
    "ConnectTimeout": str(CONNECT_TIMEOUT),
    "ServerAliveInterval": str(KEEPALIVE_SECONDS),
    "ServerAliveCountMax": str(KEEPALIVE_MISSED),
    # The process must not join or open a connection that other ssh commands share.
    "ControlMaster": "no",
    "ControlPath": "none",
    "ForkAfterAuthentication": "no",
    "PermitLocalCommand": "no",
    "LogLevel": "INFO",
}

# What ssh itself reads: the agent with the keys, and Kerberos tickets.
_SSH_VARIABLES = ("SSH_AUTH_SOCK", "KRB5CCNAME", "KRB5_CONFIG")


class SshDialer:
    """Connects to one engine through ssh. `needs_ping` is True, because the local socket accepts connections even if no
    engine listens on the other host."""

    needs_ping = True

    def __init__(self, endpoint: Endpoint, files: Ssh, *, rng: random.Random | None = None) -> None:
        self._endpoint, self._files = endpoint, files
        self._rng = rng or random.Random()  # noqa: S311 (jitter, not a secret)
        self._backoff = supervise.Backoff(base=0.5, cap=8.0)
        self._directory: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[errors.Unreachable | None] | None = None
        self._forwarding = False
        self._failures = 0
        self._retry_at = 0.0  # in the event loop's time
        self._failure: errors.Unreachable | None = None
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._channel_error: errors.Unreachable | None = None
        self._written = asyncio.Event()  # ssh wrote a line, or ended
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Returns the process id of ssh while ssh runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        socket = await self._forwarded_socket()
        process, self._channel_error = self._process, None
        try:
            await self._connect(protocol, socket)
        except OSError:
            # ssh has just ended, which was not noticed yet. Start it again, once.
            if self._process is process:
                await self._end()
            try:
                await self._connect(protocol, await self._forwarded_socket())
            except OSError as error:
                raise self._connection_error() from error

    async def diagnose(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        """Returns the reason that ssh reported: the socket on the other host could not be opened, or ssh itself
        ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATE_SECONDS):
                while self._channel_error is None and self._is_forwarding():
                    self._written.clear()
                    await self._written.wait()
        found = self._channel_error or (None if self._is_forwarding() else self._connection_error())
        return lost if found is None else errors.Unreachable(found.message, sent=lost.sent, hint=found.hint)

    async def aclose(self) -> None:
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._end()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    async def _connect(self, protocol: asyncio.BaseProtocol, socket: Path) -> None:
        connected = await connect.open_unix_socket(str(socket))
        await asyncio.get_running_loop().create_unix_connection(lambda: protocol, sock=connected)

    # ── the process ──────────────────────────────────────────────────────────────────────────────────────────────

    def _is_forwarding(self) -> bool:
        return self._forwarding and self._reading is not None and not self._reading.done()

    async def _forwarded_socket(self) -> Path:
        """Returns the path of the local socket; starts ssh if it does not run. Raises Unreachable."""
        if self._closed:
            raise errors.Unreachable(
                f"Quarterdeck has closed its connection to {self._endpoint}.",
                hint="Quarterdeck is stopping, or the engine was removed from the configuration."
                " Give the command again later.",
            )
        if not self._is_forwarding():
            loop = asyncio.get_running_loop()
            if self._starting is None or self._starting.done():
                if self._failure is not None and loop.time() < self._retry_at:
                    raise errors.Unreachable(self._failure.message, hint=self._failure.hint)
                self._starting = tasks.start_awaited(f"open_ssh {self._endpoint}", self._start())
            # A caller may give up (its deadline); the others, and the next one, still need the start.
            if (failure := await asyncio.shield(self._starting)) is not None:
                raise errors.Unreachable(failure.message, hint=failure.hint)
        return self._socket()

    def _socket(self) -> Path:
        if self._directory is None:
            self._directory = processes.make_socket_dir("quarterdeck-ssh-")
        return self._directory / "s"

    async def _start(self) -> errors.Unreachable | None:
        """Starts ssh. Returns why ssh does not forward the socket, or None if ssh forwards it."""
        await self._end()
        loop = asyncio.get_running_loop()
        try:
            failure = await self._start_process()
        except BaseException:
            await self._end()
            raise
        self._forwarding = failure is None
        self._failures = 0 if failure is None else self._failures + 1
        self._failure = failure
        if failure is not None:
            await self._end()
            pause = supervise.backoff_seconds(self._failures, self._backoff.base, self._backoff.cap, self._rng)
            self._retry_at = loop.time() + pause
        return failure

    async def _start_process(self) -> errors.Unreachable | None:
        for file in (self._files.identity, self._files.known_hosts, self._files.config):
            if file and (reason := trusted_files.find_reason_for_distrust(Path(file))):
                return errors.Unreachable(f"The ssh file {file} is not used: it {reason}.", hint=trusted_files.hint())
        socket = self._socket()
        socket.unlink(missing_ok=True)
        self._lines.clear()
        try:
            self._process = await processes.start(
                ssh_command(self._endpoint, self._files, socket),
                name=f"The ssh client for {self._endpoint}",
                env=processes.minimal_environment(*_SSH_VARIABLES, LC_ALL="C"),  # its messages are parsed
                hint="Install the ssh client. On Debian: apt-get install openssh-client",
            )
        except errors.Unreachable as error:
            return error
        self._reading = tasks.start(f"ssh {self._endpoint.host}", self._read_messages(self._process))
        while not socket.is_socket():
            done, _ = await asyncio.wait({self._reading}, timeout=POLL_SECONDS)
            if done:
                return self._connection_error()
        return None

    async def _read_messages(self, process: asyncio.subprocess.Process) -> None:
        """Stores the last lines that ssh writes, until it ends."""
        assert process.stderr is not None
        rest = b""
        while data := await process.stderr.read(4096):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-4096:]
            for line in lines:
                self._store_line(line)
        if rest:
            self._store_line(rest)
        await process.wait()
        self._written.set()

    def _store_line(self, data: bytes) -> None:
        line = data.decode("utf-8", "replace").strip()[:MAX_LINE]
        if line:
            self._lines.append(line)
            self._channel_error = ssh_errors.channel_error(self._endpoint, self._files, line) or self._channel_error
            self._written.set()

    def _connection_error(self) -> errors.Unreachable:
        return ssh_errors.make_connection_error(self._endpoint, self._files, tuple(self._lines))

    async def _end(self) -> None:
        self._forwarding = False
        process, reading, self._reading, self._process = self._process, self._reading, None, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if reading is not None:
            done, _ = await asyncio.wait({reading}, timeout=TERMINATE_SECONDS)
            if not done:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.wait({reading}, timeout=TERMINATE_SECONDS)
                reading.cancel()
            await asyncio.wait({reading})


def ssh_command(endpoint: Endpoint, files: Ssh, socket: Path) -> list[str]:
    """Returns the command line that starts ssh. The host is the last argument, after `--`, so that ssh cannot take the
    host for an option."""
    arguments = ["ssh", "-N", "-T", "-n", "-a", "-x"]
    if files.config:
        arguments += ["-F", files.config]
    options = dict(OPTIONS)
    if files.known_hosts:
        options |= {"UserKnownHostsFile": _quoted(files.known_hosts), "GlobalKnownHostsFile": "/dev/null"}
    if files.identity:
        options["IdentitiesOnly"] = "yes"
        arguments += ["-i", files.identity]
    arguments += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    arguments += ["-L", f"{socket}:{endpoint.path}"]
    if endpoint.port:
        arguments += ["-p", str(endpoint.port)]
    if endpoint.user:
        arguments += ["-l", endpoint.user]
    return [*arguments, "--", endpoint.host]


def _quoted(path: str) -> str:
    # This option takes several files, separated by spaces.
    return f'"{path}"' if " " in path else path
