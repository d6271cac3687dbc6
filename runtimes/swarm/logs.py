"""Reads and follows the logs of a service: the lines of all its tasks, each with its task's name in front.

The manager collects the lines from the nodes. It sends the last lines of the first task, then those of the next task,
and so on; each line contains the id of its task. When logs are read, this module sorts the lines by time and returns
the requested number of lines. When logs are followed, it passes on lines in the order of arrival. The same size limits
apply as for the logs of a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import Iterable

import msgspec

from core import errors
from core.model.replies import Status
from core.model.results import LogLine, LogPage, Outcome
from core.model.swarm import ReadServiceLogs
from runtimes.base.jobs import MAX_JOB_LINES, Job
from runtimes.formats import json_decoder, log_decoder, timestamps
from runtimes.swarm import json_models
from runtimes.swarm.manager_pool import ManagerPool
from runtimes.transport.http_client import Stream

MAX_LINES = 20_000
TASK = "com.docker.swarm.task.id"


class ServiceLogs:
    """Reads or follows the logs of one service, as one action requests."""

    def __init__(self, managers: ManagerPool, action: ReadServiceLogs) -> None:
        self._managers, self._action = managers, action
        self._names: dict[str, str] = {}

    async def read(self, seconds: float) -> LogPage:
        name = self._action.target.name
        reader = log_decoder.LogDecoder(MAX_LINES)
        try:
            async with asyncio.timeout(seconds):
                await self._read_task_names(seconds)
                stream = await self._open(seconds, follow=False)
                try:
                    async for piece in log_decoder.pieces(stream.chunks()):
                        reader.feed(piece)
                finally:
                    await stream.aclose()
        except TimeoutError as error:
            raise errors.TimedOut(
                f"Reading the logs of {name} took longer than {seconds:.0f} s.",
                sent=True,
                hint="Give a smaller --tail, or read the logs of single containers. A node of the service may be down.",
            ) from error
        reader.finish()
        lines = sorted(self._named(reader.lines), key=lambda line: line.at)
        tail = self._action.tail
        last = lines[-tail:] if tail else []
        cursor = last[-1].at if last else ""
        return LogPage(lines=tuple(last), cursor=cursor, dropped=reader.dropped + len(lines) - len(last))

    async def follow(self, job: Job) -> Outcome:
        name = self._action.target.name
        await self._read_task_names(10.0)
        reader = log_decoder.LogDecoder(MAX_JOB_LINES)
        stream = await self._open(10.0, follow=True)
        try:
            async for piece in log_decoder.pieces(stream.chunks()):
                reader.feed(piece)
                lines, dropped = reader.take()
                if any(_task(line.text) not in self._names for line in lines):
                    # The service may be removed just now, or its Swarm may elect a leader: the lines matter more.
                    with contextlib.suppress(errors.QuarterdeckError):
                        await self._read_task_names(10.0)
                job.add_lines(self._named(lines), dropped)
        finally:
            await stream.aclose()
        reader.finish()
        lines, dropped = reader.take()
        job.add_lines(self._named(lines), dropped)
        if stream.cut:
            raise errors.Unreachable(f"The log stream of {name} ended early.", hint="Give the command again.")
        return Outcome(status=Status.DONE, detail=f"{name} was removed")

    async def _open(self, seconds: float, *, follow: bool) -> Stream:
        action = self._action
        ask = {"stdout": "1", "stderr": "1", "timestamps": "1", "details": "1", "tail": str(action.tail)}
        if follow:
            ask["follow"] = "1"
        if action.since_ns:
            ask["since"] = timestamps.format_since(action.since_ns)
        target = f"/services/{urllib.parse.quote(action.target.id, safe='')}/logs?{urllib.parse.urlencode(ask)}"
        stream = await self._managers.stream(action.verb, target, seconds)
        if stream.status != 200:
            try:
                text = (await stream.read_all(65_536)).decode("utf-8", "replace").strip()
            finally:
                await stream.aclose()
            if stream.status == 404:
                raise errors.NotFound(
                    f"The Swarm has no service {action.target.name}.", hint="List the services with: services"
                )
            raise errors.Rejected(stream.status, text)
        return stream

    async def _read_task_names(self, seconds: float) -> None:
        """Reads the names of the service's tasks, such as `web.3`, by task id."""
        action = self._action
        filters = urllib.parse.quote(msgspec.json.encode({"service": [action.target.id]}).decode())
        answer = await self._managers.ask(action.verb, "GET", f"/tasks?filters={filters}", seconds)
        for task in await json_decoder.decode_all_rows(json_models.Task, answer.body):
            self._names[task.id] = f"{action.target.name}.{task.slot or task.node[:12]}"

    def _named(self, lines: Iterable[LogLine]) -> list[LogLine]:
        named = []
        for line in lines:
            task, text = _task(line.text), line.text.partition(" ")[2]
            name = self._names.setdefault(task, f"{self._action.target.name}.{task[:12]}") if task else ""
            named.append(LogLine(at=line.at, stream=line.stream, text=f"{name} | {text}" if name else line.text))
        return named


def _task(text: str) -> str:
    """Returns the task's id from the details at the start of a line: `a=b,com.docker.swarm.task.id=…`."""
    details = text.partition(" ")[0].split(",")
    return next((one.partition("=")[2] for one in details if one.startswith(f"{TASK}=")), "")
