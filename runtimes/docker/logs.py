"""The part of Docker that reads logs: pages with a cursor, and followed ones as jobs."""

from __future__ import annotations

import abc
import asyncio
import urllib.parse

from core import errors
from core.model import actions, containers
from core.model.jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import LogPage, Outcome
from runtimes.base.adapter import does
from runtimes.base.jobs import KEPT_LINES, Job
from runtimes.docker.client import EngineClient, path_of
from runtimes.formats import log_stream, timestamps


class LogVerbs(EngineClient, abc.ABC):
    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | JobStarted:
        if action.follow:
            return self.jobs.begin(action.verb, lambda job: self._follow(action, job), read_only=True)
        ask = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": str(action.tail)}
        skip_at, skip = "", 0
        if action.cursor:
            skip_at, _, count = action.cursor.partition("/")
            skip = int(count or 0)
            ask |= {"since": timestamps.since(timestamps.nanoseconds(skip_at)), "tail": "all"}
        elif action.since_ns:
            ask["since"] = timestamps.since(action.since_ns)
        reader = log_stream.LogReader(action.tail)
        try:
            async with (
                self._stream("GET", _logs(action.target, ask), seconds, about=action.target.name) as stream,
                asyncio.timeout(seconds),
            ):
                async for chunk in stream.chunks():
                    reader.feed(chunk)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"Reading the logs of {action.target.name} took longer than {seconds:.0f} s.",
                sent=True,
                hint="Ask for fewer lines with --tail, or for a shorter time with --since.",
            ) from error
        reader.finish()
        lines = []
        for line in reader.lines:
            if skip and line.at == skip_at:
                skip -= 1
            else:
                lines.append(line)
        cursor = action.cursor
        if lines:
            # Lines of stdout and stderr overtake each other by microseconds, so the newest need not be the last.
            last = max(line.at for line in lines)
            known = int(action.cursor.partition("/")[2] or 0) if last == skip_at else 0
            cursor = f"{last}/{known + sum(1 for line in lines if line.at == last)}"
        return LogPage(lines=tuple(lines), cursor=cursor, dropped=reader.dropped)

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        ask = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": str(action.tail), "follow": "1"}
        if action.since_ns:
            ask["since"] = timestamps.since(action.since_ns)
        reader = log_stream.LogReader(KEPT_LINES)
        async with self._stream("GET", _logs(action.target, ask), 10.0, about=action.target.name) as stream:
            async for chunk in stream.chunks():
                reader.feed(chunk)
                job.say(*reader.take())
        reader.finish()
        job.say(*reader.take())
        if stream.cut:
            raise errors.Unreachable(
                f"{self.ref} broke off the log of {action.target.name}.", hint="Does it still run?"
            )
        return Outcome(status=Status.DONE, detail=await self._why_ended(action.target))

    async def _why_ended(self, target: Ref) -> str:
        """Why a followed log came to its end, as far as the container tells."""
        try:
            answer = await self._ask("GET", f"/containers/{path_of(target)}/json", 10.0)
        except errors.NotFound:
            return f"{target.name} was removed"
        now = self._words().inspected(answer.body)
        if now.state == "removing":
            return f"{target.name} was removed"
        if now.state in containers.LIVE_STATES:
            return f"{target.name} was restarted"
        code = "" if now.exit_code is None else f" with code {now.exit_code}"
        return f"{target.name} has ended{code}"


def _logs(target: Ref, ask: dict[str, str]) -> str:
    return f"/containers/{path_of(target)}/logs?{urllib.parse.urlencode(ask)}"
