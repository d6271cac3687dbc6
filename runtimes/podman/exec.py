"""The part of Podman that runs a program in a container: begun, its two streams taken apart, its exit code asked for.

Of each stream the first 64 KiB are kept. A program that takes longer than it may is left running, and that is said.
"""

from __future__ import annotations

import abc
import asyncio
import time

from core import errors
from core.model import actions
from core.model.results import ExecResult
from runtimes.base.adapter import does
from runtimes.formats import exec_streams
from runtimes.podman import client, decode
from runtimes.podman.client import quoted

ENDING, PAUSE = 2.0, 0.02  # seconds until a program whose streams have ended has ended itself; between looks


class ExecVerbs(client.EngineClient, abc.ABC):
    @does(actions.Exec)
    async def execute(self, action: actions.Exec, seconds: float) -> ExecResult:
        began = time.monotonic()
        ask = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(action.command)}
        if action.user:
            ask["User"] = action.user
        name = action.target.name
        made = await self._ask("POST", f"/containers/{quoted(action.target)}/exec", seconds, about=name, body=ask)
        session = str(decode.document(made.body).get("Id", ""))
        output = exec_streams.ExecOutput()
        try:
            async with (
                asyncio.timeout(max(0.05, min(seconds, action.timeout) - (time.monotonic() - began))),
                self._stream("POST", f"/exec/{session}/start", seconds, about=name, body={"Detach": False}) as chunks,
            ):
                async for chunk in chunks:
                    output.feed(chunk)
                code = await self._exit_code(session, seconds)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"“{action.command[0]}” in {name} has not ended within {action.timeout} s and runs on there.",
                sent=True,
                hint="Ask with a longer --timeout, or end it in the container.",
            ) from error
        return ExecResult(
            exit_code=code,
            stdout=output.text(exec_streams.STDOUT),
            stderr=output.text(exec_streams.STDERR),
            cut=output.dropped,
            took=time.monotonic() - began,
        )

    async def _exit_code(self, session: str, seconds: float) -> int:
        ends = time.monotonic() + ENDING
        while time.monotonic() < ends:
            answer = await self._ask("GET", f"/exec/{session}/json", seconds, kind="exec session")
            told = decode.document(answer.body)
            if not told.get("Running"):
                return int(told.get("ExitCode", -1))
            await asyncio.sleep(PAUSE)
        raise errors.Unreachable(f"{self.ref} does not tell how the program ended.", sent=True)
