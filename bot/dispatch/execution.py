"""Runs the actions of an accepted plan on their engines, at most MAX_CONCURRENT at a time on each engine, and follows
the jobs that they start.

Each action has its own result, whatever it raises. An unexpected exception is a bug: it is logged with a reference, and
only its own action fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.dispatch import followed_event_lines, job_follower, plan_progress
from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import Result
from core import errors
from core.model import background_jobs
from core.model.actions import Action, Risk
from core.model.event_actions import ListEvents
from core.model.replies import Status
from core.model.results import Outcome
from core.ports import Responder
from core.store.client import Store
from runtimes.inventory import gather_answers
from runtimes.inventory.fleet import Fleet

MAX_CONCURRENT = 8  # actions of one plan that run side by side on one engine
PAUSE_SECONDS = 30.0  # what the bot itself may need while a plan runs
PART_SECONDS = 3.0  # for an optional part of a reply
MISSING_PART_HINT = "To see the missing part, give one of these commands: `logs NAME`, `stats NAME` or `events NAME`."
Recorder = Callable[[int, Result], Awaitable[None]]


def maximum_plan_seconds(plan: Sequence[Action[Any]]) -> float:
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
    refusal: Callable[[Action[Any]], Awaitable[str]],
    freeze: Callable[[Action[Any]], Awaitable[str]],
    view_now: Callable[[], Awaitable[VisibleFleet]],
    record: Recorder | None = None,
    optional: Sequence[str] = (),
) -> Sequence[Result]:
    """Returns one Result for each action, in the plan's order. Awaits `record` with each Result when its action ends.
    If a change fails after its request was sent, its outcome is UNKNOWN. Nothing is sent twice. A plan of lists does
    not wait long for slow engines. `refusal` returns why an action may not go on, or an empty string; a job that is
    refused is stopped. `freeze` returns the sentence about a freeze that refuses an action. `view_now` returns what the
    requester may see now. `optional`: verbs whose actions only have PART_SECONDS. Raises nothing but the cancellation
    of the caller, after all actions have ended."""
    # An engine that does not answer holds only its own slots.
    slots = {action.engine: asyncio.Semaphore(MAX_CONCURRENT) for action in plan}
    # The requester's deadline is for finding the targets: from here on, each action has its own time.
    ends = datetime.now(UTC) + timedelta(seconds=maximum_plan_seconds(plan) + PAUSE_SECONDS)
    call = replace(view.call, deadline=max(view.call.deadline, ends))

    async def one(index: int, action: Action[Any]) -> Result:
        waits = slots[action.engine].locked()
        async with slots[action.engine]:
            result = await attempt(action, waited=waits)
        if record is not None:
            try:
                await record(index, result)
            except Exception as error:  # the result is shown even if it cannot be recorded
                fleet.bugs.report(error, "record", verb=action.verb)
        return result

    async def attempt(action: Action[Any], *, waited: bool = False, last_known: bool = False) -> Result:
        changes = action.risk is not Risk.READ
        try:
            if changes and waited:
                await check_freeze(action)  # all changes may have been frozen since the plan began
            async with asyncio.timeout(PART_SECONDS if action.verb in optional else None):
                with fleet.bugs.translated(action.engine, action.verb, sent=changes):
                    value = fleet.last_known(action) if last_known else await perform(action)
                    return Result(action=action, value=await view.filter(action, value))
        except TimeoutError:
            return Result(action=action, error=_late(action))
        except errors.QuarterdeckError as error:
            if changes and isinstance(error, errors.EngineError) and error.sent:
                return Result(action=action, value=Outcome(status=Status.UNKNOWN, detail=error.full_message()))
            return Result(action=action, error=error)

    async def check_freeze(action: Action[Any]) -> None:
        with contextlib.suppress(errors.StoreError):  # the plan was accepted, and its intent is recorded
            if sentence := await freeze(action):
                raise errors.Frozen(sentence)

    async def perform(action: Action[Any]) -> Any:
        if isinstance(action, job_follower.STOPS):
            return await job_follower.stop_job(fleet, store, action, call)
        with shown.running(action):
            value = await fleet.run(action, call)
        if not isinstance(value, background_jobs.JobStarted):
            return value
        return await job_follower.follow_job(
            fleet,
            store,
            action,
            value,
            call=call,
            responder=responder,
            everyone=everyone,
            stopping=stopping,
            several=len(plan) > 1,
            refusal=lambda: refusal(action),
            texts=followed_event_lines.make_event_formatter(action, view_now)
            if isinstance(action, ListEvents)
            else None,
        )

    with plan_progress.PlanProgress(plan, responder) as shown:
        if all(map(gather_answers.is_list, plan)):
            return await gather_answers.gather_answers(
                [functools.partial(one, index, action) for index, action in enumerate(plan)],
                complete=lambda result: gather_answers.is_complete(result.error or result.value),
                late=lambda index: attempt(plan[index], last_known=True),
            )
        # A cancellation of the caller cancels all actions, and is raised after the last of them has ended.
        ended = await asyncio.gather(*(one(index, action) for index, action in enumerate(plan)), return_exceptions=True)
        return [
            result if isinstance(result, Result) else Result(action=action, error=_stopped(action))
            for action, result in zip(plan, ended, strict=True)
        ]


def _late(action: Action[Any]) -> errors.TimedOut:
    return errors.TimedOut(
        f"{action.engine} did not answer within {PART_SECONDS:.0f} s.",
        sent=False,
        hint=MISSING_PART_HINT,
    )


def _stopped(action: Action[Any]) -> errors.EngineError:
    return errors.EngineError(
        f"Quarterdeck stopped waiting for {action.verb} on {action.engine} before the action was complete.",
        sent=action.risk is not Risk.READ,
        hint="Check the state of the target, then give the command again.",
    )
