"""Reads the log of a Docker container one page at a time, or follows it as a job.

A cursor is `TIME/COUNT`: the time of the newest line that was read, and how many lines with that time were read.
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
        query = {"tail": str(action.tail)}
        skip_at, skip = "", 0
        if action.cursor:
            skip_at, _, count = action.cursor.partition("/")
            skip = int(count or 0)
            query = {"since": timestamps.format_since(timestamps.parse_nanoseconds(skip_at)), "tail": "all"}
        elif action.since_ns:
            query["since"] = timestamps.format_since(action.since_ns)
        reader = log_decoder.LogDecoder(action.tail)
        await self._read_log(action.target, query, seconds, reader.feed)
        reader.finish()
        lines = []
        for line in reader.lines:
            if skip and line.at == skip_at:
                skip -= 1
            else:
                lines.append(line)
        cursor = action.cursor
        if lines:
            # Lines of stdout and stderr overtake each other by microseconds, so the newest line may not be the last.
            newest = max(line.at for line in lines)
            before = int(action.cursor.partition("/")[2] or 0) if newest == skip_at else 0
            cursor = f"{newest}/{before + sum(1 for line in lines if line.at == newest)}"
        return LogPage(lines=tuple(lines), cursor=cursor, dropped=reader.dropped)

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        query = {"tail": str(action.tail), "follow": "true"}
        if action.since_ns:
            query["since"] = timestamps.format_since(action.since_ns)
        reader = log_decoder.LogDecoder(MAX_JOB_LINES)
        return await self._follow_log(action.target, query, job, reader, feed=reader.feed)
