"""The logs of a service: every task's lines in one list by time, each with its task in front.

A manager gathers them from the nodes, each task's last lines in a stream of its own, with the task's id among the
details of every line. They are put in order and cut to what was asked for here; while they are followed they come as
they come. Bounded as a container's logs are.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Iterable

import msgspec

from core import errors
from core.model.replies import Status
from core.model.results import LogLine, LogPage, Outcome
from core.model.swarm import ReadServiceLogs
from runtimes.base.jobs import KEPT_LINES, Job
from runtimes.formats import log_stream, timestamps
from runtimes.swarm import models
from runtimes.swarm.managers import Doors
from runtimes.transport.http_client import Stream

MOST_LINES = 20_000
TASK = "com.docker.swarm.task.id"


class Logs:
    """Of the service one action names."""

    def __init__(self, doors: Doors, action: ReadServiceLogs) -> None:
        self._doors, self._action = doors, action
        self._names: dict[str, str] = {}

    async def read(self, seconds: float) -> LogPage:
        name = self._action.target.name
        reader = log_stream.LogReader(MOST_LINES)
        try:
            async with asyncio.timeout(seconds):
                await self._learn_names(seconds)
                stream = await self._open(seconds, follow=False)
                try:
                    async for chunk in stream.chunks():
                        reader.feed(chunk)
                finally:
                    await stream.aclose()
        except TimeoutError as error:
            raise errors.TimedOut(
                f"Reading the logs of {name} took longer than {seconds:.0f} s.",
                sent=True,
                hint="A node that is down may be waited for; ask for fewer lines with --tail, or ask the containers.",
            ) from error
        reader.finish()
        lines = sorted(self._told(reader.lines), key=lambda line: line.at)
        tail = self._action.tail
        kept = lines[-tail:] if tail else []
        cursor = kept[-1].at if kept else ""
        return LogPage(lines=tuple(kept), cursor=cursor, dropped=reader.dropped + len(lines) - len(kept))

    async def follow(self, job: Job) -> Outcome:
        name = self._action.target.name
        await self._learn_names(10.0)
        reader = log_stream.LogReader(KEPT_LINES)
        stream = await self._open(10.0, follow=True)
        try:
            async for chunk in stream.chunks():
                reader.feed(chunk)
                lines, dropped = reader.take()
                if any(_task(line.text) not in self._names for line in lines):
                    await self._learn_names(10.0)
                job.say(self._told(lines), dropped)
        finally:
            await stream.aclose()
        reader.finish()
        lines, dropped = reader.take()
        job.say(self._told(lines), dropped)
        if stream.cut:
            raise errors.Unreachable(f"The log of {name} was broken off.", hint="Follow it again.")
        return Outcome(status=Status.DONE, detail=f"{name} was removed")

    async def _open(self, seconds: float, *, follow: bool) -> Stream:
        action = self._action
        ask = {"stdout": "1", "stderr": "1", "timestamps": "1", "details": "1", "tail": str(action.tail)}
        if follow:
            ask["follow"] = "1"
        if action.since_ns:
            ask["since"] = timestamps.since(action.since_ns)
        target = f"/services/{urllib.parse.quote(action.target.id, safe='')}/logs?{urllib.parse.urlencode(ask)}"
        stream = await self._doors.stream(action.verb, target, seconds)
        if stream.status != 200:
            try:
                text = (await stream.read_all(65_536)).decode("utf-8", "replace").strip()
            finally:
                await stream.aclose()
            if stream.status == 404:
                raise errors.NotFound(f"{action.target.name} is gone: the Swarm has no such service.")
            raise errors.Rejected(stream.status, text)
        return stream

    async def _learn_names(self, seconds: float) -> None:
        """Which of its tasks is which: `web.3`."""
        action = self._action
        filters = urllib.parse.quote(msgspec.json.encode({"service": [action.target.id]}).decode())
        answer = await self._doors.ask(action.verb, "GET", f"/tasks?filters={filters}", seconds)
        for task in models.decode(models.TASKS, answer.body):
            self._names[task.id] = f"{action.target.name}.{task.slot or task.node[:12]}"

    def _told(self, lines: Iterable[LogLine]) -> list[LogLine]:
        told = []
        for line in lines:
            task, text = _task(line.text), line.text.partition(" ")[2]
            name = self._names.setdefault(task, f"{self._action.target.name}.{task[:12]}") if task else ""
            told.append(LogLine(at=line.at, stream=line.stream, text=f"{name} | {text}" if name else line.text))
        return told


def _task(text: str) -> str:
    """The task's id among the details a line begins with: `a=b,com.docker.swarm.task.id=…`."""
    details = text.partition(" ")[0].split(",")
    return next((one.partition("=")[2] for one in details if one.startswith(f"{TASK}=")), "")
