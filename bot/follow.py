"""What outlives its call, read page by page until it ends, and told to the talk on the way.

A change that goes on is waited for as long as the invocation may take; where its end cannot be seen it is UNKNOWN. A
followed log ends with its container, by its Stop, or after a while by itself.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from core import errors, redact
from core.model.actions import Action, Risk
from core.model.jobs import Followed, JobPage, ReadJob, Started
from core.model.replies import Status
from core.model.things import LogLine, Outcome
from core.ports import Call, Going, Talk
from runtimes.fleet import Fleet

FOLLOWED = 600.0  # seconds a log is followed at most
WAIT = 1.0  # seconds one look waits for something new


async def to_its_end(
    fleet: Fleet,
    action: Action[Any],
    started: Started,
    call: Call,
    talk: Talk | None,
    *,
    everyone: bool,
    stopping: asyncio.Event,
) -> Any:
    """An Outcome, or Followed for what only watched. Raises what the job's reading raises."""
    began = time.monotonic()
    stop = f"job stop {started.job}@{action.engine}"
    name = action.touches()[0].name
    cursor, lines, skipped, progress = "", 0, 0, ""
    watching = action.risk is Risk.READ
    while True:
        try:
            page: JobPage = await fleet.run(
                ReadJob(engine=action.engine, job=started.job, cursor=cursor, wait=WAIT), call
            )
        except errors.QuarterdeckError as error:
            if watching:
                raise
            return Outcome(status=Status.UNKNOWN, detail=f"It began, and then: {error.say()}")
        cursor, lines, skipped = page.cursor, lines + len(page.lines) + page.skipped, skipped + page.skipped
        if talk is not None and (page.lines or page.skipped or page.progress != progress):
            progress = page.progress
            talk.goes_on(
                Going(
                    name=name,
                    lines=[redact.redact(_text(line)) for line in page.lines],
                    skipped=page.skipped,
                    progress=redact.redact(progress),
                    stop=stop,
                    everyone=everyone,
                )
            )
        took = time.monotonic() - began
        if page.outcome is not None:
            if not watching or page.outcome.status == Status.FAILED:
                return page.outcome
            return Followed(lines=lines, skipped=skipped, seconds=took, why=page.outcome.detail)
        if watching and (took > FOLLOWED or stopping.is_set()):
            why = "Quarterdeck is stopping" if stopping.is_set() else "that is as long as a log is followed"
            return Followed(lines=lines, skipped=skipped, seconds=took, why=why)


def _text(line: LogLine) -> str:
    return line.text
