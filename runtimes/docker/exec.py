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
from core.model.results import ExecResult
from runtimes.base.adapter import does
from runtimes.docker.client import EngineClient, path_of
from runtimes.formats import decoding, exec_streams

ENDING = 2.0  # seconds in which a program whose streams have ended has to have ended itself


class _Made(msgspec.Struct):
    id: str = msgspec.field(name="Id")


class _Ran(msgspec.Struct):
    running: bool = msgspec.field(name="Running", default=False)
    exit_code: int | None = msgspec.field(name="ExitCode", default=None)


class ExecVerbs(EngineClient, abc.ABC):
    @does(actions.Exec)
    async def execute(self, action: actions.Exec, seconds: float) -> ExecResult:
        began, target, allowed = time.monotonic(), action.target, min(float(action.timeout), seconds)
        body = {"Cmd": list(action.command), "User": action.user, "AttachStdout": True, "AttachStderr": True}
        path = f"/containers/{path_of(target)}/exec"
        answer = await self._ask("POST", path, seconds, about=target.name, body=body)
        made = urllib.parse.quote(decoding.decode(_Made, answer.body).id, safe="")
        streams, how = exec_streams.ExecOutput(), {"Detach": False, "Tty": False}
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
        return ExecResult(
            exit_code=code,
            stdout=streams.text(exec_streams.STDOUT),
            stderr=streams.text(exec_streams.STDERR),
            cut=streams.dropped,
            took=time.monotonic() - began,
        )

    async def _exit_code(self, made: str, name: str) -> int:
        """The streams may end a moment before the program is known to have ended."""
        ends, pause = time.monotonic() + ENDING, 0.01
        while True:
            answer = await self._ask("GET", f"/exec/{made}/json", ENDING, about=name)
            ran = decoding.decode(_Ran, answer.body)
            if not ran.running and ran.exit_code is not None:
                return ran.exit_code
            if time.monotonic() > ends:
                raise errors.Unreachable(
                    f"{self.ref} broke off what was run in {name}; whether it has ended is not known.", sent=True
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.2)
