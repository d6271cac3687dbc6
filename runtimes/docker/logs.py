"""Reads the log of a Docker container one page at a time, or follows it as a job.

A cursor is `TIME/COUNT`: the time of the newest line that was read, and how many lines with that time were read. From
version 26 on, the daemon does not filter each line by `since`: from the first line that is new enough, it sends all
lines, and lines of stdout and stderr overtake each other. So older lines are dropped here.
"""

from __future__ import annotations

import abc

from core.model import actions
from core.model.results import LogPage, Outcome
from runtimes.base.jobs import MAX_JOB_LINES, Job
from runtimes.docker.client import EngineClient
from runtimes.docker_like import logs
from runtimes.formats import log_decoder, timestamps


class LogVerbs(EngineClient, logs.LogVerbs, abc.ABC):
    """Serves the verb `container.logs` for Docker."""

    state_checks = 1

    async def _page(self, action: actions.ReadLogs, seconds: float) -> LogPage:
        if action.until_ns:
            return await logs.read_until(action, lambda tail, reader: self._read_tail(action, tail, reader, seconds))
        query, after, seen = {"tail": str(action.tail)}, "", 0
        if action.cursor:
            after, seen, since_ns = logs.parse_cursor(action.cursor)
            query = {"since": timestamps.format_since(since_ns), "tail": "all"}
        elif action.since_ns:
            query["since"] = timestamps.format_since(action.since_ns)
            after = timestamps.format_time(action.since_ns)
        reader = log_decoder.LogDecoder(action.tail, max_characters=action.max_characters, after=after, seen=seen)
        await self._read_log(action.target, query, seconds, reader.feed)
        reader.finish()
        cursor = "{}/{}".format(*reader.newest) if reader.newest[0] else action.cursor
        return LogPage(lines=tuple(reader.lines), cursor=cursor, dropped=reader.dropped)

    async def _read_tail(
        self, action: actions.ReadLogs, tail: str, reader: log_decoder.LogDecoder, seconds: float
    ) -> None:
        since = {"since": timestamps.format_since(action.since_ns)} if action.since_ns else {}
        await self._read_log(action.target, {"tail": tail, **since}, seconds, reader.feed)
        reader.finish()

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        query, after = {"tail": str(action.tail), "follow": "true"}, ""
        if action.since_ns:
            query["since"] = timestamps.format_since(action.since_ns)
            after = timestamps.format_time(action.since_ns)
        reader = log_decoder.LogDecoder(MAX_JOB_LINES, after=after)
        return await self._follow_log(action, job, logs.FollowRequest(query=query, reader=reader, feed=reader.feed))

    def _next_part(self, cursor: str) -> logs.FollowRequest:
        after, seen, since_ns = logs.parse_cursor(cursor)
        reader = log_decoder.LogDecoder(MAX_JOB_LINES, after=after, seen=seen)
        query = {"since": timestamps.format_since(since_ns), "tail": "all", "follow": "true"}
        return logs.FollowRequest(query=query, reader=reader, feed=reader.feed)
