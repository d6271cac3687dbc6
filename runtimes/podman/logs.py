"""A container's log: libpod's frames of stdout and stderr into lines, a page at a time or followed.

Podman's API gives the times of lines in whole seconds (4.3), so a cursor is a time and how many lines of it were read;
it is asked from a little before. Podman 4 mixes up the ends of lines when it is asked for the last ones: it is asked
when those began, and then for all since. A followed log is its last page, and then what comes after it; its response
begins only with its first line.
"""

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
from runtimes.formats import log_stream
from runtimes.podman import client, decode, log_frames
from runtimes.podman.client import quoted

FIRST_PAGE = 10.0  # seconds for what a followed log begins with
LOOKS, PAUSE = 40, 0.05  # at a container whose log has ended, until Podman knows that it did


class LogVerbs(client.EngineClient, abc.ABC):
    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | JobStarted:
        if action.follow:
            return self.jobs.begin(action.verb, lambda job: self._follow(action, job), read_only=True)
        try:
            async with asyncio.timeout(seconds):
                return await self._page(action, seconds)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"Reading the logs of {action.target.name} took longer than {seconds:.0f} s.",
                sent=True,
                hint="Ask for fewer lines with --tail, or for a shorter time with --since.",
            ) from error

    async def _page(self, action: actions.ReadLogs, seconds: float) -> LogPage:
        target, after, seen = action.target, "", 0
        if action.cursor:
            after, seen, begin = _place(action.cursor)
        elif action.since_ns:
            begin = str(action.since_ns // 1_000_000_000)
        else:
            first = await self._read(target, {"tail": str(action.tail)}, log_stream.LogReader(1 << 20), seconds)
            if not first.lines:
                return LogPage(lines=())
            at = decode.nanoseconds_or_none(min(line.at for line in first.lines)) or 0
            begin = str(at // 1_000_000_000 - 1)
        reader = log_stream.LogReader(action.tail, after=after, seen=seen)
        await self._read(target, {"since": begin}, reader, seconds)
        # Of one second many lines may be older than those of this page: all of them count.
        cursor = "{}/{}".format(*reader.newest) if reader.newest[0] else action.cursor
        return LogPage(lines=tuple(reader.lines), cursor=cursor, dropped=reader.dropped if action.cursor else 0)

    async def _read(
        self, target: Ref, ask: dict[str, str], reader: log_stream.LogReader, seconds: float
    ) -> log_stream.LogReader:
        mended = log_frames.Mended()
        async with self._stream("GET", _path(target, ask), seconds, about=target.name) as chunks:
            async for chunk in chunks:
                reader.feed(mended.feed(chunk))
        reader.finish()
        return reader

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        target, ask = action.target, {"follow": "true", "tail": "0"}
        reader = log_stream.LogReader(KEPT_LINES)
        if action.tail:
            async with asyncio.timeout(FIRST_PAGE):
                page = await self._page(action, FIRST_PAGE)
            job.say(page.lines)
            ask = {"follow": "true"}
            if page.cursor:
                after, seen, begin = _place(page.cursor)
                ask["since"] = begin
                reader = log_stream.LogReader(KEPT_LINES, after=after, seen=seen)
        mended = log_frames.Mended()
        try:
            async with self._stream("GET", _path(target, ask), FIRST_PAGE, about=target.name) as chunks:
                async for chunk in chunks:
                    reader.feed(mended.feed(chunk))
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
            if now.state not in containers.LIVE_STATES:
                break
            # The last line comes a moment before the end is known.
            await asyncio.sleep(PAUSE)
        if now is None or now.state in containers.LIVE_STATES:
            return f"{target.name} was restarted"
        code = "" if now.exit_code is None else f" with code {now.exit_code}"
        return f"{target.name} has ended{code}"


def _place(cursor: str) -> tuple[str, int, str]:
    """The time of the last line read, how many lines of it were, and the second to ask from."""
    at, _, count = cursor.partition("/")
    ns = decode.nanoseconds_or_none(at)
    if ns is None or not count.isdecimal():
        raise errors.InvalidResponse("That is no place in a log.")
    return at, int(count), str(ns // 1_000_000_000 - 1)


def _path(target: Ref, ask: dict[str, str]) -> str:
    words = urllib.parse.urlencode({"stdout": "true", "stderr": "true", "timestamps": "true", **ask})
    return f"/containers/{quoted(target)}/logs?{words}"
