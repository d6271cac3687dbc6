"""Scales and rolls back Swarm services, and waits for the tasks of any change of a service.

After the request, the job polls the service and its tasks until the change is complete, the tasks fail repeatedly, or
the time is over. The job continues while the Swarm elects a new leader. If the job is stopped, the Swarm continues the
change by itself, and the outcome reports that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from core import errors
from core.lazy_dataclass import dataclass
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from core.model.service_actions import RollBackService
from runtimes.base.jobs import Job
from runtimes.formats import json_decoder
from runtimes.swarm import decode
from runtimes.swarm.killed_tasks import KilledTasks
from runtimes.swarm.service_updates import SendRequest, ServiceUpdater

POLL_SECONDS = 0.5
MAX_FAILURES = 2  # after so many failed tasks of one slot, the job ends as failed
CONTINUES = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A change that was sent. `tasks_before`: the ids of the tasks before it; `ends`: the end of the timeout, by this
    process's clock. `request` (the change itself) and `undo` (how to undo it) are parts of a sentence.
    `replicas_before` and `replicas`: how many tasks there were, and how many must run. `killed`: collects the tasks
    that did not end within their grace."""

    target: Ref
    tasks_before: Collection[str]
    ends: float
    seconds: float
    request: str
    undo: str = ""
    replicas_before: int = 0
    replicas: int = 0
    killed: KilledTasks | None = None


async def scale(
    send: SendRequest, target: Ref, wanted: int, timeout: float, job: Job, *, may_shrink: bool = True
) -> Outcome:
    """Changes the number of replicas and waits until so many tasks run. `timeout`: in seconds. Raises UserError for a
    service that has no number of replicas, and Expired if the number would fall and not `may_shrink`."""
    began, service = time.monotonic(), ServiceUpdater(send, target)
    before = await service.tasks()
    was, grace = 0, 0.0

    async def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal was, grace
        was, grace = decode.replicas(target, raw), decode.stop_grace(raw)
        if was > wanted and not may_shrink:
            text = f"{target.name} has {was} replicas now, so a change to {wanted} would end tasks. Nothing was done."
            raise errors.Expired(text, hint="Give the command again.")
        return None if was == wanted else {**raw["Spec"], "Mode": {"Replicated": {"Replicas": wanted}}}

    if not await service.update(change):
        return ended(began, *await _unchanged(service, wanted))
    allowed = timeout + (grace if wanted < was else 0.0)
    killed = KilledTasks(target, before, grace)
    rollout = Rollout(
        target=target,
        tasks_before={task.id for task in before},
        ends=began + allowed,
        seconds=allowed,
        request=f"{wanted} were asked for",
        undo=f"The Swarm goes on trying; to end that: scale {target.name}={was}",
        replicas_before=was,
        replicas=wanted,
        killed=killed,
    )
    status, detail = await wait_for_number(service, rollout, job)
    return ended(began, status, f"{detail}{service.note}", killed)


async def roll_back(
    send: SendRequest, action: RollBackService, job: Job, check: Callable[[Mapping[str, Any]], Awaitable[None]]
) -> Outcome:
    """Rolls a service back to its specification before the last update, and waits for its tasks. `check` raises an
    error if it is not allowed to roll back to this specification."""
    began, service, target = time.monotonic(), ServiceUpdater(send, action.target), action.target
    before, grace = await service.tasks(), 0.0

    async def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal grace
        grace = decode.stop_grace(raw)
        if not raw.get("PreviousSpec"):
            raise errors.UserError(
                f"{target.name} cannot be rolled back: it was not updated since it was created.",
                hint=f"Change the service instead: service update --image IMAGE {target.name}",
            )
        await check(raw)
        spec: dict[str, Any] = raw["Spec"]
        return spec

    # After somebody else's update, the earlier version would be another one. So it is not sent again.
    await service.update(change, "&registryAuthFrom=previous-spec&rollback=previous", exclusive=True)
    if not action.wait:
        return ended(began, Status.DONE, "its tasks are not waited for")
    killed = KilledTasks(target, before, grace)
    rollout = Rollout(
        target=target,
        tasks_before={task.id for task in before},
        ends=began + action.timeout,
        seconds=action.timeout,
        request="a roll back was asked for",
        killed=killed,
    )
    status, detail = await wait_for_update(service, rollout, job, back=True)
    image = await service.image()
    return ended(began, status, f"back to {image}; {detail}" if status is Status.DONE and image else detail, killed)


async def wait_for_update(service: ServiceUpdater, rollout: Rollout, job: Job, *, back: bool) -> tuple[Status, str]:
    """Waits until the tasks of a service run its present specification. `back`: it is rolled back to that one. Returns
    the status and the detail of the outcome."""
    return await _wait(rollout, job, lambda late: _look_at_update(service, rollout, job, late, back=back))


async def wait_for_number(service: ServiceUpdater, rollout: Rollout, job: Job) -> tuple[Status, str]:
    """Waits until as many tasks run as `rollout` says. Returns the status and the detail of the outcome."""
    return await _wait(rollout, job, lambda late: _look_at_number(service, rollout, job, late))


def ended(began: float, status: Status, detail: str, killed: KilledTasks | None = None) -> Outcome:
    """Returns the outcome of a change that began at this time of this process's clock. It names the `killed` tasks."""
    note, names = (killed.note, killed.names) if killed is not None else ("", ())
    return Outcome(status=status, detail=f"{detail}{note}", took=time.monotonic() - began, killed=names)


async def _wait(
    rollout: Rollout, job: Job, look: Callable[[bool], Awaitable[tuple[Status, str] | None]]
) -> tuple[Status, str]:
    """Calls `look` until it returns the status and detail of the outcome. Its argument: whether the timeout is over."""
    try:
        while True:
            late = time.monotonic() > rollout.ends
            try:
                with json_decoder.reading(f"The service {rollout.target.name}"):
                    if (end := await look(late)) is not None:
                        return end
            except errors.EngineError as error:
                # A Swarm that elects a new leader answers again after some seconds.
                if late:
                    return Status.UNKNOWN, f"{rollout.request}, and then: {error.full_message()}"
            await asyncio.sleep(rollout.killed.pause(POLL_SECONDS) if rollout.killed is not None else POLL_SECONDS)
    except asyncio.CancelledError:
        job.end(Outcome(status=Status.UNKNOWN, detail=f"{rollout.request}; the job was stopped before the tasks ran"))
        raise


async def _unchanged(service: ServiceUpdater, wanted: int) -> tuple[Status, str]:
    tasks = await service.tasks()
    running = sum(task.status.state == "running" for task in tasks)
    if running == wanted:
        return Status.NOOP, f"has {wanted} already"
    why = decode.why(tasks, decode.failing(service.target, tasks, must_run=True))
    return Status.NOOP, f"was asked to have {wanted} already; {running} run{why}"


async def _look_at_number(service: ServiceUpdater, rollout: Rollout, job: Job, late: bool) -> tuple[Status, str] | None:
    tasks, wanted = await service.tasks(), rollout.replicas
    if rollout.killed is not None:
        rollout.killed.read(tasks)
    running = [task for task in tasks if task.status.state == "running"]
    failing = decode.failing(
        rollout.target, [task for task in tasks if task.id not in rollout.tasks_before], must_run=True
    )
    whole = len(running) == wanted and all(task.desired == "running" for task in running)
    if whole and (wanted == 0 or service.steady()):
        return Status.DONE, f"from {rollout.replicas_before} to {wanted}{await service.update_state()}"
    if not whole:
        service.unsteady()
    so_far = f"{len(running)} of {wanted} run"
    job.progress(f"{so_far}{f'; {failing[1]}' if failing else ''}")
    if whole:
        return None
    if failing and failing[0] >= MAX_FAILURES:
        return Status.FAILED, f"{so_far}; {failing[1]}. {rollout.undo}"
    if late:
        why = decode.why(tasks, failing)
        return Status.FAILED, f"{so_far} after {rollout.seconds:.0f} s{why}{await service.update_state()}"
    return None


async def _look_at_update(
    service: ServiceUpdater, rollout: Rollout, job: Job, late: bool, *, back: bool
) -> tuple[Status, str] | None:
    raw = await service.inspect()
    spec, update = raw["Spec"], raw.get("UpdateStatus") or {}
    tasks, of_now = await service.tasks_by_version(spec)
    if rollout.killed is not None:
        rollout.killed.read(tasks)
    state, mode = str(update.get("State") or ""), decode.mode_of(spec)
    alive = [task for task in tasks if task.desired in ("running", "complete")]
    # A task that was made after the change was made from it, whatever another version of Docker reports of it.
    new = [task for task in alive if task.id in of_now or task.id not in rollout.tasks_before]
    new = [task for task in new if task.status.state in ("running", "complete")]
    failing = decode.failing(
        rollout.target,
        [task for task in tasks if task.id not in rollout.tasks_before],
        must_run=not mode.endswith("job"),
    )
    total = len(alive) if mode != "replicated" else decode.replicas(rollout.target, raw)
    so_far = f"{len(new)} of {total} run it"
    why = decode.why(tasks, failing)
    message = str(update.get("Message") or "").strip()[:200]
    job.progress(f"{so_far}{f'; {failing[1]}' if failing else ''}")
    match state:
        case "completed" | "rollback_completed" if (state == "rollback_completed") == back:
            return Status.DONE, so_far
        case "rollback_completed":
            return Status.FAILED, f"the Swarm rolled it back: {message}{why}"
        case "paused" | "rollback_paused":
            return Status.FAILED, f"{so_far}; {decode.UPDATES[state]}: {message}{why}"
        case "":
            # If no task has to change (zero replicas, or a job that runs again), the Swarm reports no update.
            if len(new) == total and service.steady():
                return Status.DONE, so_far
            if len(new) != total:
                service.unsteady()
    action = (spec.get("UpdateConfig") or {}).get("FailureAction")
    if failing and failing[0] >= MAX_FAILURES and (action == CONTINUES or state == ""):
        return Status.FAILED, f"{so_far}; {failing[1]}. {rollout.undo or 'The Swarm goes on trying'}"
    if late:
        return Status.FAILED, f"{so_far} after {rollout.seconds:.0f} s{why}; {state or 'not begun'}"
    return None
