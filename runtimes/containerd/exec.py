"""A program run in a container of containerd, to its end, its output through pipes of ours.

The shim that holds the container opens the pipes by their path, so they lie where it sees them: Quarterdeck and
containerd must share the folder /run. Output is bounded; what is over is read and thrown away, so that nothing blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
from google.protobuf import any_pb2

from core import errors
from core.model import actions
from core.model.results import ExecResult
from runtimes.containerd import decode, lifecycle
from runtimes.containerd.client import Calls

KEPT = 64 * 1024
PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"
PLACE = Path("/run")
DRAINING = 2.0  # seconds output may still come after its program has ended


async def run(calls: Calls, action: actions.Exec, seconds: float) -> ExecResult:
    steps = lifecycle.Steps(min(seconds, float(action.timeout)))
    began = time.monotonic()
    space, name = decode.split(action.target.id)
    if not space:
        raise lifecycle.gone(action.target)
    try:
        held = await steps.look(calls.container(space, name, steps.left))
    except errors.NotFound as error:
        raise lifecycle.gone(action.target) from error
    task = await steps.look(calls.task(space, name, steps.left))
    if task is None or decode.STATES.get(task.status) != "running":
        raise errors.Rejected(lifecycle.NOT_NOW, f"{action.target.name} is not running.")
    process = any_pb2.Any(type_url=PROCESS_TYPE, value=_process(held.spec.value, action))
    execution = f"quarterdeck-{secrets.token_hex(8)}"
    folder = Path(tempfile.mkdtemp(prefix="quarterdeck-", dir=PLACE if os.access(PLACE, os.W_OK) else None))
    out, err = _Pipe(folder / "out"), _Pipe(folder / "err")
    try:
        given = {"out": str(out.path), "err": str(err.path)}
        await steps.change(calls.execute(space, name, execution, process, steps.left, **given))
        try:
            await steps.change(calls.start(space, name, steps.left, execution))
            out.begin()
            err.begin()
            code = await steps.look(calls.wait(space, name, steps.left, execution))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAINING):
                    await asyncio.gather(out.ended.wait(), err.ended.wait())
        except (errors.TimedOut, asyncio.CancelledError):
            with contextlib.suppress(errors.QuarterdeckError):
                await calls.kill(space, name, lifecycle.KILL, 2.0, execution=execution)
                await calls.wait(space, name, 2.0, execution)
            raise
        finally:
            with contextlib.suppress(errors.QuarterdeckError):
                await calls.delete_execution(space, name, execution, 2.0)
    except errors.TimedOut as error:
        raise errors.TimedOut(
            f"The command did not end within {action.timeout} s; it was killed.", sent=True
        ) from error
    finally:
        out.close()
        err.close()
        shutil.rmtree(folder, ignore_errors=True)
    return ExecResult(
        exit_code=code,
        stdout=out.text(),
        stderr=err.text(),
        cut=out.over + err.over,
        took=time.monotonic() - began,
    )


def _process(spec: bytes, action: actions.Exec) -> bytes:
    """The container's own process with another command line: its user, environment, folder and rights."""
    try:
        process = msgspec.json.decode(spec)["process"]
        process |= {"args": list(action.command), "terminal": False}
        process.pop("consoleSize", None)
        if action.user:
            process["user"] = _user(action.user)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise errors.InvalidResponse(f"The specification of {action.target.name} cannot be read.") from error
    return msgspec.json.encode(process)


def _user(word: str) -> dict[str, int]:
    user, _, group = word.partition(":")
    user, group = ("0" if user == "root" else user), ("0" if group == "root" else group)
    if not user.isdecimal() or not (group or "0").isdecimal():
        raise errors.BadUsage(
            f"containerd takes users as numbers, not “{word[:32]}”.", hint="Such as 1000 or 1000:1000."
        )
    return {"uid": int(user), "gid": int(group or 0)}


class _Pipe:
    """One named pipe. It is held open until the other side writes, or reading would end before it began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.over = 0
        self.ended = asyncio.Event()
        self._kept = bytearray()
        os.mkfifo(path, 0o600)
        self._held: int | None = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._reading: int | None = None

    def begin(self) -> None:
        """Once the other side has opened it."""
        self._reading = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._release()
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def _read(self) -> None:
        assert self._reading is not None
        try:
            data = os.read(self._reading, KEPT)
        except BlockingIOError:
            return
        if not data:
            self._stop()
            return
        room = max(0, KEPT - len(self._kept))
        self._kept += data[:room]
        self.over += len(data[room:])

    def _stop(self) -> None:
        if self._reading is not None:
            asyncio.get_running_loop().remove_reader(self._reading)
            os.close(self._reading)
            self._reading = None
        self.ended.set()

    def _release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def close(self) -> None:
        self._stop()
        self._release()

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")
