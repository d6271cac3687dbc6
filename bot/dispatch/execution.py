"""Runs the actions of an accepted plan on their engines, at most MAX_CONCURRENT at a time, and follows the jobs that
they start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.dispatch import job_follower
from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import Result
from core import errors
from core.model import jobs
from core.model.actions import Action, Risk
from core.model.replies import Status
from core.model.results import Outcome
from core.ports import Responder
from core.store.client import Store
from runtimes.inventory.fleet import Fleet

MAX_CONCURRENT = 8  # actions of one plan that run side by side
PAUSE_SECONDS = 30.0  # what the bot itself may need while a plan runs
Recorder = Callable[[int, Result], Awaitable[None]]


def plan_seconds(plan: Sequence[Action[Any]]) -> float:
    """Returns how long the actions of a plan may take together, each within its own timeout."""
    longest = max((action.timeout_seconds() for action in plan), default=0.0)
    return longest * -(-len(plan) // MAX_CONCURRENT)


async def run_plan(
    plan: Sequence[Action[Any]],
    *,
    fleet: Fleet,
    store: Store,
    view: VisibleFleet,
    responder: Responder | None,
    everyone: bool,
    stopping: asyncio.Event,
    record: Recorder | None = None,
) -> Sequence[Result]:
    """Returns one Result for each action, in the plan's order. Awaits `record` with each Result when its action ends.
    If a change fails after its request was sent, its outcome is UNKNOWN. Nothing is sent twice. Raises only for a bug,
    after all actions have ended."""
    slots = asyncio.Semaphore(MAX_CONCURRENT)
    # The requester's deadline is for finding the targets: from here on, each action has its own time.
    ends = datetime.now(UTC) + timedelta(seconds=plan_seconds(plan) + PAUSE_SECONDS)
    call = replace(view.call, deadline=max(view.call.deadline, ends))

    async def one(index: int, action: Action[Any]) -> Result:
        async with slots:
            result = await attempt(action)
            if record is not None:
                await record(index, result)
            return result

    async def attempt(action: Action[Any]) -> Result:
        try:
            if isinstance(action, job_follower.STOPS):
                value: Any = await job_follower.stop_job(fleet, store, action, call)
            else:
                value = await fleet.run(action, call)
            if isinstance(value, jobs.JobStarted):
                value = await job_follower.follow_job(
                    fleet,
                    store,
                    action,
                    value,
                    call=call,
                    responder=responder,
                    everyone=everyone,
                    stopping=stopping,
                    several=len(plan) > 1,
                )
        except errors.QuarterdeckError as error:
            if action.risk is not Risk.READ and getattr(error, "sent", False):
                return Result(action=action, value=Outcome(status=Status.UNKNOWN, detail=error.full_message()))
            return Result(action=action, error=error)
        return Result(action=action, value=await view.filter(action, value))

    results = await asyncio.gather(*(one(index, action) for index, action in enumerate(plan)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, Result)]
