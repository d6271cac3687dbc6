"""Verifies the tasks of a Swarm service for some seconds after a change, as a job: whether each still runs, or one has
failed.

The Swarm counts a task as running only when its health check has succeeded, so its health is not requested separately.
A task that failed before the change does not count.
"""

from __future__ import annotations

import asyncio

import msgspec

from core import errors
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from core.model.verification import SETTLE_SECONDS, VERDICT, RunState, RunVerdict, VerifyRuns
from runtimes.base.jobs import Job
from runtimes.swarm.json_models import Task
from runtimes.swarm.service_updates import SendRequest, ServiceUpdater

POLL_SECONDS = 2.0
FAILED = ("failed", "rejected", "orphaned")


async def watch_tasks(send: SendRequest, action: VerifyRuns, job: Job) -> Outcome:
    """Runs the job: one verdict on the service of the action."""
    began, target = _now(), action.runs[0]
    service = ServiceUpdater(send, target)
    before: set[str] | None = None
    fault = ""

    def end(state: RunState, task: Task | None = None, *, ends: int = 0, why: str = "") -> Outcome:
        verdict = RunVerdict(
            ref=target,
            state=state,
            seconds=_now() - began,
            exit_code=task.exit_code if task is not None else None,
            ends=ends,
            restarting=task is not None,
            why=why,
        )
        job.add_lines([LogLine(at="", stream=VERDICT, text=msgspec.json.encode(verdict).decode())])
        return Outcome(status=Status.DONE)

    while True:
        try:
            tasks = await service.tasks()
            fault = ""
            failed = [task for task in tasks if task.status.state in FAILED]
            before = {task.id for task in failed} if before is None else before
            if new := [task for task in failed if task.id not in before]:
                return end(RunState.ENDED, new[-1], ends=len(new), why=new[-1].why)
        except errors.NotFound:
            return end(RunState.REMOVED)
        except errors.EngineError as error:  # a Swarm that elects a leader answers again after some seconds
            fault = error.full_message()
        if _now() - began >= SETTLE_SECONDS:
            return end(RunState.UNKNOWN, why=fault) if fault else end(RunState.RUNNING)
        await asyncio.sleep(POLL_SECONDS)


def _now() -> float:
    """Returns the event loop's time in seconds."""
    return asyncio.get_running_loop().time()
