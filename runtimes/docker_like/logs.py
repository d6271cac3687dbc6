"""Reads a container's log one page at a time, or follows it as a job."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar

from core import errors
from core.lazy_dataclass import dataclass
from core.model import actions, containers
from core.model.background_jobs import JobStarted
from core.model.containers import Container
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import DIVIDER, LogLine, LogPage, Outcome
from core.name_matching import selection
from core.text import run_separator_lines
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.docker_like.client import HttpEngineClient, quoted_id
from runtimes.formats import log_decoder, timestamps

OPEN_SECONDS = 10.0  # until the response of a followed log begins
STATE_SECONDS = 10.0
STATE_PAUSE_SECONDS = 0.05
RESTART_SECONDS, RESTART_PAUSE_SECONDS = 3.0, 0.2  # for a person who restarts a container, and between two looks at it
# An engine counts the last lines of a log before it leaves out those after `until`, so more lines are requested. These
# factors are tried in turn; at the end, the whole log is read.
TAIL_FACTORS = (4, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowRequest:
    """How to follow a log up to the next end of its container. `query`: of the request; `feed`: passes a chunk of bytes
    on to `reader`."""

    query: Mapping[str, str]
    reader: log_decoder.LogDecoder
    feed: Callable[[bytes], None]


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
                if action.previous:
                    action = await self._of_previous_run(action)
                return await self._page(action, seconds)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"Reading the logs of {action.target.name} took longer than {seconds:.0f} s.",
                sent=True,
                hint="Ask for fewer lines with --tail, or for a later --since.",
            ) from error

    @abc.abstractmethod
    async def _page(self, action: actions.ReadLogs, seconds: float) -> LogPage: ...

    @abc.abstractmethod
    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome: ...

    async def _of_previous_run(self, action: actions.ReadLogs) -> actions.ReadLogs:
        """Limits the action to lines until the last end of the container. Where its last run began, the engine does not
        know. Raises NotFound if no run has ended."""
        row = await self._inspected(action.target)
        if row is None:
            raise errors.NotFound(
                f"{self.ref} has no container {action.target.name}.", hint=selection.list_hint(action.target.kind)
            )
        if not row.finished_at:
            raise errors.NotFound(
                f"There is no previous run of {action.target.name}: its first run has not ended.",
                hint=f"Show the log of this run with: logs {action.target.name}",
            )
        until_ns = int(row.finished_at * 1e6 + 1) * 1_000
        return dataclasses.replace(action, until_ns=min(until_ns, action.until_ns or until_ns), previous=False)

    async def _read_log(
        self, target: Ref, query: Mapping[str, str], seconds: float, receive: Callable[[bytes], None]
    ) -> None:
        """Passes the log's chunks to `receive` until the log ends."""
        encoded = urllib.parse.urlencode({"stdout": "true", "stderr": "true", "timestamps": "true", **query})
        path = f"/containers/{quoted_id(target)}/logs?{encoded}"
        async with self._stream("GET", path, seconds, name=target.name) as chunks:
            async for piece in log_decoder.pieces(chunks):
                receive(piece)

    async def _follow_log(self, action: actions.ReadLogs, job: Job, part: FollowRequest) -> Outcome:
        """Writes the lines to the job as they arrive. `part`: how to read up to the first end. If the action goes on
        over restarts, each restart is a line of its own."""
        target, began = action.target, time.time()
        restarted: Container | None = None
        while True:
            try:
                await self._read_log(target, part.query, OPEN_SECONDS, _receiver(job, part))
            except errors.Unreachable as error:
                raise errors.Unreachable(
                    f"The log of {target.name} ended early: {error.message}", hint=error.hint
                ) from error
            except (errors.NotFound, errors.Rejected):
                if restarted is None or await self._inspected(target) is not None:
                    raise
                return Outcome(status=Status.DONE, detail=_why_ended(target, None))  # removed before this request
            part.reader.finish()
            job.add_lines(*part.reader.take())
            ended = await self._state_after_end(target)
            if not action.over_restarts or not isinstance(ended, Container):
                return Outcome(status=Status.DONE, detail=_why_ended(target, ended))
            restarted = await self._state_after_restart(target, ended, began)
            if not isinstance(restarted, Container) or restarted.state not in containers.LIVE_STATES:
                return Outcome(status=Status.DONE, detail=_why_ended(target, restarted))
            code = None if ended.state in containers.LIVE_STATES else ended.exit_code
            at = timestamps.format_time(int((restarted.started_at or time.time()) * 1e9))
            text = run_separator_lines.restart_divider(code, (restarted.restarts or -1) + 1)
            job.add_lines([LogLine(at=at, stream=DIVIDER, text=text)])
            last = timestamps.format_time(int((restarted.finished_at or restarted.started_at or began) * 1e9))
            newest = part.reader.newest if part.reader.newest[0] else (last, 0)
            part, began = self._next_part("{}/{}".format(*newest)), time.time()

    @abc.abstractmethod
    def _next_part(self, cursor: str) -> FollowRequest:
        """Returns how to follow a log after a cursor."""

    async def _state_after_end(self, target: Ref) -> Container | None:
        """Returns the container whose log has ended, as soon as the engine knows that it has ended; None if it was
        removed. A container that still runs then has started again."""
        found: Container | None = None
        for check in range(self.state_checks):
            if check:
                await asyncio.sleep(STATE_PAUSE_SECONDS)
            found = await self._inspected(target)
            if found is None or found.state not in containers.LIVE_STATES:
                break
        return found

    async def _state_after_restart(self, target: Ref, ended: Container, began: float) -> Container | None:
        """Waits until a container runs again: while the engine says that it restarts it, and a moment for a person who
        does. Returns it as it is then; None if it was removed. `began`: when its log began to be followed."""
        found: Container | None = ended
        # It had ended before, so nobody is restarting it now.
        patience = 0.0 if (ended.finished_at or began) < began - 1 else RESTART_SECONDS
        waited = pause = RESTART_PAUSE_SECONDS
        while found is not None and found.state not in containers.LIVE_STATES:
            if found.state != "restarting" and waited > patience:
                break
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(1.0, 1.5 * pause)
            found = await self._inspected(target)
        return found

    async def _inspected(self, target: Ref) -> Container | None:
        try:
            response = await self._request(
                "GET", f"/containers/{quoted_id(target)}/json", STATE_SECONDS, name=target.name
            )
        except errors.NotFound:
            return None
        found = self._decode_container(response.body)
        return None if found.state == "removing" else found


def _receiver(job: Job, part: FollowRequest) -> Callable[[bytes], None]:
    def receive(chunk: bytes) -> None:
        part.feed(chunk)
        job.add_lines(*part.reader.take())

    return receive


def _why_ended(target: Ref, found: Container | None) -> str:
    """Why a followed log ended, as far as the container's state shows it."""
    if found is None:
        return f"{target.name} was removed"
    if found.state not in containers.LIVE_STATES:
        code = "" if found.exit_code is None else f" with code {found.exit_code}"
        return f"{target.name} has ended{code}"
    return f"{target.name} was restarted"


async def read_until(
    action: actions.ReadLogs, read: Callable[[str, log_decoder.LogDecoder], Awaitable[None]]
) -> LogPage:
    """Returns the last lines until `action.until_ns`. `read` reads the last lines of the log, as many as its text says
    (`all`: all of them), into a decoder."""
    until = timestamps.format_time(action.until_ns)
    after = timestamps.format_time(action.since_ns) if action.since_ns else ""
    for tail in (*(str(action.tail * factor) for factor in TAIL_FACTORS), "all"):
        reader = log_decoder.LogDecoder(action.tail, max_characters=action.max_characters, after=after, until=until)
        await read(tail, reader)
        found = len(reader.lines) + reader.dropped
        if found >= action.tail or tail == "all" or found + reader.later < int(tail):
            break
    return LogPage(lines=tuple(reader.lines), dropped=reader.too_large)


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
