"""Runs other programs with a deadline and bounded output, so that none outlives Quarterdeck or its caller.

`run` runs a program to its end and returns its exit code and output. `start` starts a program that keeps running, such
as ssh, and gives its stderr to the caller. `start_logged` starts a program that keeps running and writes to a file,
such as the embedded store's server. Each program runs without a shell and without a terminal. It has a session of
its own, so that Ctrl-C reaches only Quarterdeck. On Linux, it gets SIGTERM when Quarterdeck dies. No program gets
Quarterdeck's own environment, which may hold tokens: `env` comes from `minimal_environment`. A program that somebody
else can change is not started; see `core.trusted_files`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from core import errors, trusted_files
from core.lazy_dataclass import dataclass

MAX_OUTPUT = 64 << 10  # bytes of stdout and of stderr that a result holds
OUTPUT_SECONDS = 0.5  # how long output is still read after the program ended: its children may hold the pipes open
MAX_RUNTIME_DIR = 50  # bytes; a unix socket's whole path may have 107


# What a program needs to find its files, its user and its language.
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")


def minimal_environment(*also: str, **fixed: str) -> dict[str, str]:
    """Returns an environment for another program: the few variables that every program needs, those named by `also`,
    and `fixed`, which comes last. Leaves out what is not set."""
    passed = {name: os.environ[name] for name in (*_PASSED, *also) if name in os.environ}
    return {"PATH": os.defpath} | passed | fixed


async def run(
    command: Sequence[str],
    *,
    timeout: float,
    name: str,
    env: Mapping[str, str],
    run_as: RunAs | None = None,
    change: bool = False,
    stdin: bytes | None = None,
    max_output: int = MAX_OUTPUT,
    hint: str = "",
) -> Result:
    """Runs a program to its end; one that outlives `timeout` seconds, or its caller, is killed.

    `name` is what error messages call it, `hint` the cure if it cannot be started; `change`: a program that was killed
    may have changed something; `stdin`: what it can read from a pipe, then the end of its input; None: it reads
    /dev/null. Raises Unreachable if it cannot be started, TimedOut if it does not end in time.
    """
    began = time.monotonic()
    _check_program(name, command[0], env)
    try:
        transport, output = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Output(max_output),
            *command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd="/",
            **_options(run_as) | ({"stdin": subprocess.PIPE} if stdin is not None else {}),
        )
    except (OSError, ValueError) as error:
        raise _not_started(name, command[0], error, hint) from error
    if (pipe := transport.get_pipe_transport(0)) is not None:
        assert isinstance(pipe, asyncio.WriteTransport)
        pipe.write(stdin or b"")
        pipe.write_eof()
    try:
        async with asyncio.timeout(timeout):
            await output.ended.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OUTPUT_SECONDS):
                await output.closed.wait()
    except TimeoutError as error:
        raise errors.TimedOut(
            f"{name} did not end within {timeout:.0f} s and was killed.",
            sent=change,
            hint="Check whether the program waits for something, and the load of this machine (CPU, memory, disks).",
        ) from error
    finally:
        transport.close()  # kills the program if it still runs
        await output.ended.wait()
    return Result(
        code=transport.get_returncode() or 0,
        stdout=output.text(1),
        stderr=output.text(2),
        dropped=output.dropped,
        seconds=time.monotonic() - began,
    )


async def start(
    command: Sequence[str], *, name: str, env: Mapping[str, str], hint: str = ""
) -> asyncio.subprocess.Process:
    """Starts a program that stays. The caller reads its stderr and ends it. Raises Unreachable."""
    _check_program(name, command[0], env)
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(env), **_options()
        )
    except (OSError, ValueError) as error:
        raise _not_started(name, command[0], error, hint) from error


def start_logged(
    command: Sequence[str],
    *,
    name: str,
    env: Mapping[str, str],
    log: BinaryIO,
    pass_fds: Sequence[int] = (),
    hint: str = "",
) -> subprocess.Popen[bytes]:
    """Starts a program that stays, and writes its output to `log`. It ends when the calling thread does, so call it
    from the main thread. Raises Unreachable."""
    _check_program(name, command[0], env)
    try:
        return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(env),
            umask=0o077,
            pass_fds=pass_fds,
            **_options(),
        )
    except (OSError, ValueError) as error:
        raise _not_started(name, command[0], error, hint) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a program ended. `code` is its exit status, negative: the signal that killed it. `dropped` counts the bytes
    of both outputs beyond the limit."""

    code: int
    stdout: str
    stderr: str
    dropped: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The user a program runs as. Only root can choose another one."""

    uid: int
    gid: int
    groups: Sequence[int] = ()


def make_socket_dir(prefix: str) -> Path:
    """Makes a new private directory with a path short enough for unix sockets: in $XDG_RUNTIME_DIR if that is usable,
    else in /tmp. Raises OSError."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_runtime_dir()))


def _runtime_dir() -> Path:
    wanted = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    with contextlib.suppress(OSError):
        usable = wanted.is_absolute() and wanted.stat().st_uid == os.geteuid() and os.access(wanted, os.W_OK)
        if usable and len(os.fsencode(wanted)) <= MAX_RUNTIME_DIR:
            return wanted
    return Path("/tmp")  # noqa: S108 - only the parent of a directory that mkdtemp makes private


def end_with_parent() -> Callable[[], None] | None:
    """Returns the function that a new process calls before it becomes the program: it asks the kernel for SIGTERM when
    the thread that started it dies. None where the system is not Linux."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
    parent, set_death_signal, term = os.getpid(), 1, int(signal.SIGTERM)

    # It runs between fork and exec of a process with threads: two system calls, everything else is prepared here.
    def request_death_signal() -> None:
        prctl(set_death_signal, term, 0, 0, 0)
        if os.getppid() != parent:  # the parent died in between: no signal will come
            os._exit(1)

    return request_death_signal


def _options(run_as: RunAs | None = None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "start_new_session": True,
        "preexec_fn": end_with_parent(),
    }
    if run_as is not None:
        options |= {"user": run_as.uid, "group": run_as.gid, "extra_groups": list(run_as.groups)}
    return options


def _check_program(name: str, program: str, env: Mapping[str, str]) -> None:
    """Raises Unreachable if somebody else can change the program. A program that is not found fails when it starts, and
    what is installed with Quarterdeck is trusted as much as Quarterdeck's own code."""
    path = shutil.which(program, path=env.get("PATH", os.defpath))
    if (
        path
        and not Path(path).is_relative_to(sys.prefix)
        and (reason := trusted_files.find_reason_for_distrust(Path(path)))
    ):
        raise errors.Unreachable(
            f"{name} was not started, because the program {path} {reason}.",
            hint=trusted_files.hint(),
        )


def _not_started(name: str, program: str, error: Exception, hint: str) -> errors.Unreachable:
    if isinstance(error, FileNotFoundError):
        return errors.Unreachable(f"{name} cannot be started: the program {program} was not found.", hint=hint)
    reason = getattr(error, "strerror", None) or str(error)
    number = error.errno if isinstance(error, OSError) else 0
    if number == errno.EACCES:
        hint = (
            f"Allow the user that runs Quarterdeck to execute {program} (chmod a+x), on a file system without noexec."
        )
    elif number in (errno.EAGAIN, errno.ENOMEM):
        hint = "This machine has too little memory, or its limit of processes is reached."
    program = "" if name == program else f" with {program}"
    return errors.Unreachable(f"{name} cannot be started{program}: {reason}.", hint=hint)


class _Output(asyncio.SubprocessProtocol):
    """Collects the beginning of both outputs. What follows is read and counted, so that the program is not blocked."""

    def __init__(self, max_output: int) -> None:
        self.ended, self.closed = asyncio.Event(), asyncio.Event()
        self.dropped = 0
        self._max_output = max_output
        self._data = {1: bytearray(), 2: bytearray()}
        self._open_pipes = 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        stored = self._data[fd]
        space = self._max_output - len(stored)
        stored += data[:space]
        self.dropped += max(0, len(data) - space)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:  # the program has read its input, or closed it
            return
        self._open_pipes -= 1
        if not self._open_pipes:
            self.closed.set()

    def process_exited(self) -> None:
        self.ended.set()

    def text(self, fd: int) -> str:
        return self._data[fd].decode("utf-8", "replace")
