"""Waits until a container has ended, as a job. The job changes nothing and reports how long the container has been
running. An engine that does not answer is asked again until the time limit: it may be overloaded, or be restarting.
"""

from __future__ import annotations

import asyncio
import time

from core import errors
from core.model.background_jobs import JobStarted
from core.model.container_reads import MAX_WAIT_SECONDS, WaitForEnd
from core.model.containers import NO_EXIT_CODE, Container
from core.model.replies import Status
from core.model.results import Outcome
from core.name_matching import selection
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job, JobAdapter

PAUSE_SECONDS = 1.0  # between two looks
LOOK_SECONDS = 10.0
# States that a container leaves by itself, or that it does not begin to run from.
WAITED_FOR = frozenset({"running", "paused", "restarting", "removing"})


class WaitVerbs(JobAdapter):
    """Serves the verb `container.wait` for every engine that can describe its containers."""

    @does(WaitForEnd)
    async def wait_for_end(self, action: WaitForEnd, seconds: float) -> JobStarted:
        first = await self._look(action)
        if first is None:
            raise errors.NotFound(
                f"{self.ref} has no container {action.target.name}.",
                hint=selection.list_hint(action.target.kind),
            )
        return self.jobs.start(action.verb, lambda job: self._wait(action, job, first), read_only=True)

    async def _wait(self, action: WaitForEnd, job: Job, first: Container) -> Outcome:
        began, row, limit = time.monotonic(), first, min(action.timeout, MAX_WAIT_SECONDS)
        fault: errors.EngineError | None = None
        while True:
            if row.started_at != first.started_at and row.state in WAITED_FOR:
                return Outcome(status=Status.DONE, detail="has ended and was started again")
            if row.state not in WAITED_FOR:
                return Outcome(status=Status.DONE, detail=_ended(row))
            waited = time.monotonic() - began
            if waited >= limit:
                if fault is not None:
                    raise fault
                return Outcome(status=Status.DONE, detail=f"has not ended within {limit} s: it is {row.state}")
            state = f"is {row.state}" if fault is None else "is not known, because its engine does not answer"
            job.progress(f"{state}; waited {waited:.0f} of {limit} s")
            await asyncio.sleep(min(PAUSE_SECONDS, limit - waited))
            try:
                found = await self._look(action)
            except (errors.Unreachable, errors.TimedOut, errors.Rejected) as error:
                fault = error
                continue
            fault = None
            if found is None:
                return Outcome(status=Status.DONE, detail="has ended and was removed")
            row = found

    async def _look(self, action: WaitForEnd) -> Container | None:
        return (await self.describe([action.target.id], LOOK_SECONDS)).get(action.target.id, None)


def _ended(row: Container) -> str:
    if row.state == "created":
        return "was not started"
    unknown = NO_EXIT_CODE.get(row.ref.engine.kind, "")
    code = (f"; {unknown}" if unknown else "") if row.exit_code is None else f" with code {row.exit_code}"
    return f"has ended{code}{', killed because its memory was exhausted' if row.oom_killed else ''}"
