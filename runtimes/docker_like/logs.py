"""Reads a container's log one page at a time, or follows it as a job."""

from __future__ import annotations

import abc
import asyncio
import urllib.parse
from collections.abc import Callable, Mapping
from typing import ClassVar

from core import errors
from core.model import actions, containers
from core.model.background_jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import LogPage, Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.docker_like.client import HttpEngineClient, quoted_id
from runtimes.formats import log_decoder, timestamps

OPEN_SECONDS = 10.0  # until the response of a followed log begins
STATE_SECONDS = 10.0
STATE_PAUSE_SECONDS = 0.05


class LogVerbs(HttpEngineClient, abc.ABC):
    """Serves the verb `container.logs`."""

    state_checks: ClassVar[int]
    """How often a container whose log has ended is inspected, until the engine knows that the container has ended."""

    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | JobStarted:
        if action.follow:
            return self.jobs.start(action.verb, lambda job: self._follow(action, job), read_only=True)
        try:
            async with asyncio.timeout(seconds):
                return await self._page(action, seconds)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"Reading the logs of {action.target.name} took longer than {seconds:.0f} s.",
                sent=True,
                hint="Ask for fewer lines with --tail, or for a shorter time with --since.",
            ) from error

    @abc.abstractmethod
    async def _page(self, action: actions.ReadLogs, seconds: float) -> LogPage: ...

    @abc.abstractmethod
    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome: ...

    async def _read_log(
        self, target: Ref, query: Mapping[str, str], seconds: float, receive: Callable[[bytes], None]
    ) -> None:
        """Passes the log's chunks to `receive` until the log ends."""
        encoded = urllib.parse.urlencode({"stdout": "true", "stderr": "true", "timestamps": "true", **query})
        path = f"/containers/{quoted_id(target)}/logs?{encoded}"
        async with self._stream("GET", path, seconds, name=target.name) as chunks:
            async for piece in log_decoder.pieces(chunks):
                receive(piece)

    async def _follow_log(
        self,
        target: Ref,
        query: Mapping[str, str],
        job: Job,
        reader: log_decoder.LogDecoder,
        *,
        feed: Callable[[bytes], None],
    ) -> Outcome:
        """Writes the lines to the job as they arrive. `feed` passes a chunk on to `reader`."""

        def receive(chunk: bytes) -> None:
            feed(chunk)
            job.add_lines(*reader.take())

        try:
            await self._read_log(target, query, OPEN_SECONDS, receive)
        except errors.Unreachable as error:
            raise errors.Unreachable(
                f"The log of {target.name} ended early: {error.message}", hint=error.hint
            ) from error
        reader.finish()
        job.add_lines(*reader.take())
        return Outcome(status=Status.DONE, detail=await self._why_ended(target))

    async def _why_ended(self, target: Ref) -> str:
        """Why a followed log ended, as far as the container's state shows it."""
        for check in range(self.state_checks):
            if check:
                await asyncio.sleep(STATE_PAUSE_SECONDS)
            try:
                response = await self._request("GET", f"/containers/{quoted_id(target)}/json", STATE_SECONDS)
            except errors.NotFound:
                return f"{target.name} was removed"
            found = self._decode_container(response.body)
            if found.state == "removing":
                return f"{target.name} was removed"
            if found.state not in containers.LIVE_STATES:
                code = "" if found.exit_code is None else f" with code {found.exit_code}"
                return f"{target.name} has ended{code}"
        return f"{target.name} was restarted"


def parse_cursor(cursor: str) -> tuple[str, int, int]:
    """Returns the parts of a cursor: the time of the newest line that was read, how many lines with that time were
    read, and that time in nanoseconds since the epoch. Raises InvalidResponse."""
    at, _, count = cursor.partition("/")
    ns = timestamps.parse_nanoseconds_or_none(at)
    if ns is None or not (count.isascii() and count.isdecimal()):
        raise errors.InvalidResponse(
            f"“{cursor[:40]}” is not a valid position in a log.",
            hint="Give the command again. Run the same version of Quarterdeck on all replicas.",
        )
    return at, int(count), ns
