"""Runs a program in a container, and returns its exit code and the first 64 KiB of each output stream.

A program that does not end in time is not stopped. It continues in the container, and the error reports that.
"""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse

import msgspec

from core import errors
from core.model import inside_containers
from core.model.results import ExecResult
from runtimes.base.base_adapter import does
from runtimes.docker_like.client import MIN_SECONDS, HttpEngineClient, quoted_id
from runtimes.formats import exec_output_decoder, json_decoder, json_field_types

EXIT_SECONDS = 2.0  # for the engine to report the exit code, after the output has ended
ANSWER_SECONDS = 10.0  # of one request for it: the program has run, so its output must not be lost to a slow engine
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.01, 0.2


class _Created(msgspec.Struct):
    id: str = msgspec.field(name="Id")


class _Session(msgspec.Struct):
    running: bool = msgspec.field(name="Running", default=False)
    exit_code: json_field_types.ExitCode | None = msgspec.field(name="ExitCode", default=None)


class ExecVerbs(HttpEngineClient, abc.ABC):
    """Serves the verb `container.exec`."""

    @does(inside_containers.Exec)
    async def execute(self, action: inside_containers.Exec, seconds: float) -> ExecResult:
        began, target, allowed = time.monotonic(), action.target, min(float(action.timeout), seconds)
        body = {"Cmd": list(action.command), "User": action.user, "AttachStdout": True, "AttachStderr": True}
        if action.workdir:
            body["WorkingDir"] = action.workdir
        if action.environment:
            body["Env"] = [f"{name}={value}" for name, value in action.environment]
        path = f"/containers/{quoted_id(target)}/exec"
        response = await self._request("POST", path, seconds, name=target.name, body=body)
        session = urllib.parse.quote(json_decoder.decode_json(_Created, response.body).id, safe="")
        output = exec_output_decoder.ExecOutputDecoder()
        start = self._stream("POST", f"/exec/{session}/start", allowed, name=target.name, body={"Detach": False})
        try:
            async with asyncio.timeout(max(MIN_SECONDS, allowed - (time.monotonic() - began))), start as chunks:
                async for chunk in chunks:
                    output.feed(chunk)
        except TimeoutError:
            raise errors.TimedOut(
                f"“{action.command[0]}” in {target.name} did not end within {allowed:.0f} s. It is still running.",
                sent=True,
                hint="End the program in the container. If it needs more time, give the command again with a longer"
                " --timeout.",
            ) from None
        try:
            exit_code = await self._exit_code(session, target.name)
        except errors.EngineError as error:
            raise error.with_sent(True) from error  # the program has run
        return ExecResult(
            exit_code=exit_code,
            stdout=output.text(exec_output_decoder.STDOUT),
            stderr=output.text(exec_output_decoder.STDERR),
            cut=output.dropped,
            took=time.monotonic() - began,
        )

    async def _exit_code(self, session: str, name: str) -> int:
        """The output may end a moment before the engine knows that the program has ended."""
        ends, pause = time.monotonic() + EXIT_SECONDS, FIRST_PAUSE_SECONDS
        while True:
            response = await self._request("GET", f"/exec/{session}/json", ANSWER_SECONDS, name=name)
            found = json_decoder.decode_json(_Session, response.body)
            if not found.running and found.exit_code is not None:
                return found.exit_code
            if time.monotonic() > ends:
                raise errors.Unreachable(
                    f"{self.ref} closed the output of the program in {name}, but did not report its exit code.",
                    sent=True,
                    hint=f"To see whether the program is still running, give: top {name}",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)
