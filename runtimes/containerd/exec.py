"""Runs a program in a container of containerd, and returns its output.

The output comes through named pipes (FIFOs). The container's shim opens the pipes by their path, so Quarterdeck and
containerd must share the folder /run. Only the first `MAX_OUTPUT_BYTES` of output are stored. The rest is read and
counted, so that the program is not blocked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from google.protobuf import any_pb2

from core import errors
from core.model import inside_containers
from core.model.results import ExecResult
from runtimes.base.base_adapter import does
from runtimes.base.multi_request_change import MultiRequestChange
from runtimes.containerd import client, decode, lifecycle
from runtimes.containerd.client import FAILED_PRECONDITION, Client
from runtimes.containerd.connection import Connection
from runtimes.containerd.process_end import ProcessEnd
from runtimes.formats import oci_process

MAX_OUTPUT_BYTES = 64 * 1024  # of stdout and of stderr
PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"
PIPE_FOLDER = Path("/run")
KILL_SECONDS = 2.0  # how long one step of killing the program may take
DRAIN_SECONDS = 2.0  # how long output is read after the program has ended


class ExecVerbs(Connection):
    """Serves the verb `container.exec` for containerd."""

    @does(inside_containers.Exec)
    async def execute(self, action: inside_containers.Exec, seconds: float) -> ExecResult:
        await self._identify(seconds)
        return await run(self._client, action, seconds)


async def run(calls: Client, action: inside_containers.Exec, seconds: float) -> ExecResult:
    """Runs the program, waits until it ends, and returns its output and exit code. A program that takes too long is
    killed."""
    steps = MultiRequestChange(min(seconds, float(action.timeout)))
    namespace, container_id = decode.split_id(action.target.id)
    if not namespace:
        raise client.gone(action.target)
    try:
        container = await steps.read(calls.container(namespace, container_id, steps.seconds_left))
    except errors.NotFound as error:
        raise client.gone(action.target) from error
    task = await steps.read(calls.task(namespace, container_id, steps.seconds_left))
    if task is None or decode.STATES.get(task.status) != "running":
        raise _not_running(action.target.name, "" if task is None else decode.STATES.get(task.status, ""))
    process = any_pb2.Any(type_url=PROCESS_TYPE, value=oci_process.encode_process(container.spec.value, action))
    exec_id = f"quarterdeck-{secrets.token_hex(8)}"
    folder = Path(tempfile.mkdtemp(prefix="quarterdeck-", dir=PIPE_FOLDER if os.access(PIPE_FOLDER, os.W_OK) else None))
    out, err = _Pipe(folder / "out"), _Pipe(folder / "err")
    try:
        pipes = {"out": str(out.path), "err": str(err.path)}
        await steps.change(calls.create_exec(namespace, container_id, exec_id, process, steps.seconds_left, **pipes))
        try:
            try:
                await steps.change(calls.start(namespace, container_id, steps.seconds_left, exec_id))
            except (errors.TimedOut, asyncio.CancelledError):
                await _kill(calls, namespace, container_id, exec_id)
                raise
            out.open()
            err.open()
            request = calls.wait(namespace, container_id, steps.seconds_left + 2 * KILL_SECONDS, exec_id)
            async with ProcessEnd(request, action.target.name) as end:
                try:
                    code = await steps.read(end.wait(steps.seconds_left))
                except (errors.TimedOut, asyncio.CancelledError):
                    await _kill(calls, namespace, container_id, exec_id)
                    with contextlib.suppress(errors.QuarterdeckError):
                        await end.wait(KILL_SECONDS)
                    raise
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await asyncio.gather(out.ended.wait(), err.ended.wait())
        finally:
            with contextlib.suppress(errors.QuarterdeckError):
                await calls.delete_exec(namespace, container_id, exec_id, 2.0)
    except errors.TimedOut as error:
        raise errors.TimedOut(
            f"{action.command[0]} in {action.target.name} did not end within {action.timeout} s and was killed.",
            sent=True,
            hint=f"Check in the container what the program has already changed.{inside_containers.more_time(action)}",
        ) from error
    finally:
        out.close()
        err.close()
        shutil.rmtree(folder, ignore_errors=True)
    return ExecResult(
        exit_code=code,
        stdout=out.text(),
        stderr=err.text(),
        cut=out.dropped + err.dropped,
        took=steps.seconds_taken,
    )


def _not_running(name: str, state: str) -> errors.Rejected:
    """Returns the error for a container in which no program can run now."""
    cure = "paused: unpause it first" if state == "paused" else "not running: start it first"
    return errors.Rejected(FAILED_PRECONDITION, f"{name} is {cure}.")


async def _kill(calls: Client, namespace: str, container_id: str, exec_id: str) -> None:
    with contextlib.suppress(errors.QuarterdeckError):
        await calls.kill(namespace, container_id, lifecycle.SIGKILL, KILL_SECONDS, exec_id=exec_id)


class _Pipe:
    """Reads one named pipe. Until the shim has opened the pipe, it is also open for writing here: without a writer,
    reading would end before it began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0  # bytes
        self.ended = asyncio.Event()
        self._data = bytearray()
        os.mkfifo(path, 0o600)
        self._writer: int | None = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._reader: int | None = None

    def open(self) -> None:
        """Starts reading. Call it after the shim has opened the pipe."""
        self._reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._close_writer()
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    def _read(self) -> None:
        assert self._reader is not None
        try:
            data = os.read(self._reader, MAX_OUTPUT_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._close_reader()
            return
        room = max(0, MAX_OUTPUT_BYTES - len(self._data))
        self._data += data[:room]
        self.dropped += len(data[room:])

    def _close_reader(self) -> None:
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader)
            os.close(self._reader)
            self._reader = None
        self.ended.set()

    def _close_writer(self) -> None:
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def close(self) -> None:
        self._close_reader()
        self._close_writer()

    def text(self) -> str:
        return self._data.decode("utf-8", "replace")
