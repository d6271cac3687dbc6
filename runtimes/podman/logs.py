"""Reads the log of a Podman container one page at a time, or follows it as a job.

A cursor is `TIME/COUNT`: the time of the newest line that was read, and how many lines with that time were read. Podman
4.3 filters lines by whole seconds only, so the next page is requested from one second earlier. When Podman 4 is asked
for the last N lines, it mixes up the parts of long lines. So the first request asks for the last N lines only to get
the time of the oldest one. A second request then reads all lines since that time. A followed log starts with its last
page.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable

from core.model import actions
from core.model.refs import Ref
from core.model.results import LogPage, Outcome
from runtimes.base.jobs import MAX_JOB_LINES, Job
from runtimes.docker_like import logs
from runtimes.formats import log_decoder, timestamps
from runtimes.podman import client, log_frame_joiner

FIRST_PAGE_SECONDS = 10.0
MAX_TAIL = 1 << 20  # lines


class LogVerbs(client.EngineClient, logs.LogVerbs, abc.ABC):
    """Serves the verb `container.logs` for Podman."""

    state_checks = 40  # the last line arrives a moment before Podman knows that the container has ended

    async def _page(self, action: actions.ReadLogs, seconds: float) -> LogPage:
        target, after, seen = action.target, "", 0
        if action.until_ns:
            return await logs.read_until(action, lambda tail, reader: self._read_tail(action, tail, reader, seconds))
        if action.cursor:
            after, seen, begin = _parse_cursor(action.cursor)
        elif action.since_ns:
            begin = str(action.since_ns // 1_000_000_000)
        else:
            begin = await self._begin_of_tail(action, str(action.tail), seconds)
            if not begin:
                return LogPage(lines=())
        reader = log_decoder.LogDecoder(action.tail, max_characters=action.max_characters, after=after, seen=seen)
        await self._read_lines(target, {"since": begin}, reader, seconds)
        # Many lines of one second may be older than those of this page: all of them count.
        cursor = "{}/{}".format(*reader.newest) if reader.newest[0] else action.cursor
        return LogPage(
            lines=tuple(reader.lines), cursor=cursor, dropped=reader.dropped if action.cursor else reader.too_large
        )

    async def _begin_of_tail(self, action: actions.ReadLogs, number: str, seconds: float) -> str:
        """Returns the second before the oldest of the last lines; empty if there are no lines."""
        tail = log_decoder.LogDecoder(MAX_TAIL, max_characters=action.max_characters)
        await self._read_lines(action.target, {"tail": number}, tail, seconds)
        if not tail.lines:
            return ""
        at = timestamps.parse_nanoseconds_or_none(min(line.at for line in tail.lines)) or 0
        return str(at // 1_000_000_000 - 1)

    async def _read_tail(
        self, action: actions.ReadLogs, tail: str, reader: log_decoder.LogDecoder, seconds: float
    ) -> None:
        query = {}
        if action.since_ns:
            query = {"since": str(action.since_ns // 1_000_000_000)}
        elif tail != "all":
            query = {"since": await self._begin_of_tail(action, tail, seconds) or "0"}
        await self._read_lines(action.target, query, reader, seconds)

    async def _read_lines(
        self, target: Ref, query: dict[str, str], reader: log_decoder.LogDecoder, seconds: float
    ) -> None:
        await self._read_log(target, query, seconds, _joined(reader))
        reader.finish()

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        query = {"follow": "true", "tail": "0"}
        reader = log_decoder.LogDecoder(MAX_JOB_LINES)
        if action.tail:
            async with asyncio.timeout(FIRST_PAGE_SECONDS):
                page = await self._page(action, FIRST_PAGE_SECONDS)
            job.add_lines(page.lines)
            query = {"follow": "true"}
            if page.cursor:
                after, seen, query["since"] = _parse_cursor(page.cursor)
                reader = log_decoder.LogDecoder(MAX_JOB_LINES, after=after, seen=seen)
            elif action.since_ns:  # there were no lines since then, but there may be earlier ones
                query["since"] = str(action.since_ns // 1_000_000_000)
                reader = log_decoder.LogDecoder(MAX_JOB_LINES, after=timestamps.format_time(action.since_ns))
        return await self._follow_log(action, job, logs.FollowRequest(query=query, reader=reader, feed=_joined(reader)))

    def _next_part(self, cursor: str) -> logs.FollowRequest:
        after, seen, since = _parse_cursor(cursor)
        reader = log_decoder.LogDecoder(MAX_JOB_LINES, after=after, seen=seen)
        return logs.FollowRequest(query={"follow": "true", "since": since}, reader=reader, feed=_joined(reader))


def _joined(reader: log_decoder.LogDecoder) -> Callable[[bytes], None]:
    """Passes chunks to `reader` with the fragments of long lines joined."""
    joiner = log_frame_joiner.LogFrameJoiner()
    return lambda chunk: reader.feed(joiner.feed(chunk))


def _parse_cursor(cursor: str) -> tuple[str, int, str]:
    """The time of the last line read, how many lines with that time were read, and the second to ask from."""
    at, count, ns = logs.parse_cursor(cursor)
    return at, count, str(ns // 1_000_000_000 - 1)
