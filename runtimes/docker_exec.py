"""The part of Docker that runs a program in a container: begun, its two streams taken apart, its exit code asked for.

Of each stream the first 64 KiB are kept. A program that takes longer than it may is left running, and that is said.
"""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse

import msgspec

from core import errors
from core.model import actions
from core.model.results import Executed
from runtimes import docker_dialect
from runtimes.adapter import does
from runtimes.docker_asking import Asking, path_of

KEPT = 64 << 10  # bytes of each stream
STDOUT, STDERR = 1, 2
ENDING = 2.0  # seconds in which a program whose streams have ended has to have ended itself


class _Made(msgspec.Struct):
    id: str = msgspec.field(name="Id")


class _Ran(msgspec.Struct):
    running: bool = msgspec.field(name="Running", default=False)
    exit_code: int | None = msgspec.field(name="ExitCode", default=None)


class Streams:
    """Frames of stdout and stderr, in chunks of any size: `TYPE 0 0 0 LENGTH` and so many bytes."""

    def __init__(self, keep: int = KEPT) -> None:
        self.cut = 0
        self._keep = keep
        self._kept = {STDOUT: bytearray(), STDERR: bytearray()}
        self._head = b""
        self._left, self._stream = 0, STDOUT

    def feed(self, chunk: bytes) -> None:
        view = memoryview(self._head + chunk)
        at = 0
        while at < len(view):
            if not self._left:
                if len(view) - at < 8:
                    break
                self._stream = STDERR if view[at] == STDERR else STDOUT
                self._left = int.from_bytes(view[at + 4 : at + 8], "big")
                at += 8
                continue
            part = view[at : at + self._left]
            kept = self._kept[self._stream]
            room = max(0, self._keep - len(kept))
            kept += part[:room]
            self.cut += max(0, len(part) - room)
            at += len(part)
            self._left -= len(part)
        self._head = bytes(view[at:])

    def text(self, stream: int) -> str:
        return self._kept[stream].decode("utf-8", "replace")


class Executing(Asking, abc.ABC):
    @does(actions.Exec)
    async def execute(self, action: actions.Exec, seconds: float) -> Executed:
        if not action.command:
            raise errors.BadUsage("There is no program to run.", hint="Write it behind the container's name.")
        began, target, allowed = time.monotonic(), action.target, min(float(action.timeout), seconds)
        body = {"Cmd": list(action.command), "User": action.user, "AttachStdout": True, "AttachStderr": True}
        path = f"/containers/{path_of(target)}/exec"
        answer = await self._ask("POST", path, seconds, about=target.name, body=body)
        made = urllib.parse.quote(docker_dialect.decode(_Made, answer.body).id, safe="")
        streams, how = Streams(), {"Detach": False, "Tty": False}
        try:
            async with (
                asyncio.timeout(max(0.05, allowed - (time.monotonic() - began))),
                self._stream("POST", f"/exec/{made}/start", allowed, about=target.name, body=how) as stream,
            ):
                async for chunk in stream.chunks():
                    streams.feed(chunk)
        except TimeoutError:
            raise errors.TimedOut(
                f"“{action.command[0]}” in {target.name} has not ended within {allowed:.0f} s and runs on there.",
                sent=True,
                hint="Ask with a longer --timeout, or end it in the container.",
            ) from None
        code = await self._exit_code(made, target.name)
        return Executed(
            exit_code=code,
            stdout=streams.text(STDOUT),
            stderr=streams.text(STDERR),
            cut=streams.cut,
            took=time.monotonic() - began,
        )

    async def _exit_code(self, made: str, name: str) -> int:
        """The streams may end a moment before the program is known to have ended."""
        ends, pause = time.monotonic() + ENDING, 0.01
        while True:
            answer = await self._ask("GET", f"/exec/{made}/json", ENDING, about=name)
            ran = docker_dialect.decode(_Ran, answer.body)
            if not ran.running and ran.exit_code is not None:
                return ran.exit_code
            if time.monotonic() > ends:
                raise errors.Unreachable(
                    f"{self.ref} broke off what was run in {name}; whether it has ended is not known.", sent=True
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.2)
