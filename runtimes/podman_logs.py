"""Logs and programs run in a container: libpod's streams of stdout and stderr into lines and texts.

Podman's API gives the times of lines in whole seconds (4.3), so a cursor is a time and how many lines of it were read;
it is asked from a little before. A followed log begins no response before its first line.
"""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse

from core import errors
from core.model import actions
from core.model.jobs import Started
from core.model.refs import Ref
from core.model.replies import Status
from core.model.things import Executed, LogPage, Outcome
from runtimes import docker_logs, podman_asking, podman_dialect, transitions
from runtimes.adapter import does
from runtimes.jobs import KEPT_LINES, Job
from runtimes.podman_asking import quoted

LONGEST_TEXT = 64 << 10
LOOKS, PAUSE = 40, 0.05  # at an ended program, until Podman knows its code


class Logging(podman_asking.Asking, abc.ABC):
    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | Started:
        if action.follow:
            return self.jobs.begin(action.verb, lambda job: self._follow(action, job), watches=True)
        ask = {"tail": str(action.tail)}
        after, seen = "", 0
        if action.cursor:
            after, _, count = action.cursor.partition("/")
            if not count.isdigit() or (at := podman_dialect.nanoseconds_or_none(after)) is None:
                raise errors.Garbled("That is no place in a log.")
            seen = int(count)
            ask = {"since": str(at // 1_000_000_000 - 1)}
        elif action.since_ns:
            ask["since"] = str(action.since_ns // 1_000_000_000)
        reader = docker_logs.LogReader(action.tail, after=after, seen=seen)
        target = _log_path(action.target, ask)
        try:
            async with (
                asyncio.timeout(seconds),
                self._stream("GET", target, seconds, about=action.target.name) as chunks,
            ):
                async for chunk in chunks:
                    reader.feed(chunk)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"Reading the logs of {action.target.name} took longer than {seconds:.0f} s.",
                sent=True,
                hint="Ask for fewer lines with --tail, or for a shorter time with --since.",
            ) from error
        reader.finish()
        cursor = action.cursor
        if lines := tuple(reader.lines):
            last = max(line.at for line in lines)
            known = seen if last == after else 0
            cursor = f"{last}/{known + sum(1 for line in lines if line.at == last)}"
        return LogPage(lines=lines, cursor=cursor, dropped=reader.dropped)

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        ask = {"tail": str(action.tail), "follow": "true"}
        if action.since_ns:
            ask["since"] = str(action.since_ns // 1_000_000_000)
        target = action.target
        reader = docker_logs.LogReader(KEPT_LINES)
        try:
            async with self._stream("GET", _log_path(target, ask), 10.0, about=target.name) as chunks:
                async for chunk in chunks:
                    reader.feed(chunk)
                    job.say(*reader.take())
        except errors.Unreachable as error:
            raise errors.Unreachable(f"{self.ref} broke off the log of {target.name}.", hint=error.hint) from error
        reader.finish()
        job.say(*reader.take())
        return Outcome(status=Status.DONE, detail=await self._why_ended(target))

    async def _why_ended(self, target: Ref) -> str:
        """Why a followed log came to its end, as far as the container tells."""
        now = None
        for _ in range(LOOKS):
            try:
                answer = await self._ask("GET", f"/containers/{quoted(target)}/json", 10.0)
            except errors.NotFound:
                return f"{target.name} was removed"
            now = self._dialect.inspected(answer.body)
            if now.state == "removing":
                return f"{target.name} was removed"
            if now.state not in transitions.UP:
                break
            # The last line comes a moment before the end is known.
            await asyncio.sleep(PAUSE)
        if now is None or now.state in transitions.UP:
            return f"{target.name} was restarted"
        code = "" if now.exit_code is None else f" with code {now.exit_code}"
        return f"{target.name} has ended{code}"

    @does(actions.Exec)
    async def execute(self, action: actions.Exec, seconds: float) -> Executed:
        began = time.monotonic()
        ask = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(action.command)}
        if action.user:
            ask["User"] = action.user
        name = action.target.name
        made = await self._ask("POST", f"/containers/{quoted(action.target)}/exec", seconds, about=name, body=ask)
        session = str(podman_dialect.document(made.body).get("Id", ""))
        output = Output()
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
                f"{action.command[0]} did not end in {name} within {action.timeout} s.",
                sent=True,
                hint="It may still run there.",
            ) from error
        stdout, stderr = (bytes(output.texts[key]).decode("utf-8", "replace") for key in (1, 2))
        return Executed(
            exit_code=code, stdout=stdout, stderr=stderr, cut=output.cut, took=round(time.monotonic() - began, 3)
        )

    async def _exit_code(self, session: str, seconds: float) -> int:
        for _ in range(LOOKS):
            answer = await self._ask("GET", f"/exec/{session}/json", seconds, kind="exec session")
            told = podman_dialect.document(answer.body)
            if not told.get("Running"):
                return int(told.get("ExitCode", -1))
            await asyncio.sleep(PAUSE)
        raise errors.EngineError(f"{self.ref} does not tell how the program ended.")


class Output:
    """Frames of stdout and stderr into two texts, each bounded; `cut`: bytes left out of both."""

    def __init__(self, longest: int = LONGEST_TEXT) -> None:
        self.texts = {1: bytearray(), 2: bytearray()}
        self.cut = 0
        self._longest = longest
        self._head = bytearray()
        self._left = 0
        self._stream = 1

    def feed(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            if not self._left:
                part = chunk[at : at + 8 - len(self._head)]
                self._head += part
                at += len(part)
                if len(self._head) == 8:
                    self._stream = 2 if self._head[0] == 2 else 1
                    self._left = int.from_bytes(self._head[4:], "big")
                    self._head.clear()
                continue
            part = chunk[at : at + self._left]
            text = self.texts[self._stream]
            room = max(0, self._longest - len(text))
            text += part[:room]
            self.cut += max(0, len(part) - room)
            self._left -= len(part)
            at += len(part)


def _log_path(target: Ref, ask: dict[str, str]) -> str:
    words = urllib.parse.urlencode({"stdout": "true", "stderr": "true", "timestamps": "true", **ask})
    return f"/containers/{quoted(target)}/logs?{words}"
