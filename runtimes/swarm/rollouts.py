"""Scales, updates and rolls back Swarm services. Each change is one job, which waits for the service's tasks.

Each request contains the version of the service that it is based on. If somebody else has changed the service since
then, the Swarm rejects the request, and the request is sent once more. Then the job polls the service and its tasks
until the change is complete, the tasks fail repeatedly, or the time is over. The job continues while the Swarm elects a
new leader. If the job is stopped, the Swarm continues the change by itself, and the outcome reports that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from core import errors
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.formats import json_decoder
from runtimes.swarm import decode
from runtimes.swarm.service_requests import SendRequest, ServiceRequests

POLL_SECONDS = 0.5
MAX_FAILURES = 2  # after so many failed tasks of one slot, the job ends as failed
CONTINUES = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rollout:
    """A change that was sent. `tasks_before`: the ids of the tasks before it; `ends`: the end of the timeout, by this
    process's clock. `request` (the change itself) and `undo` (how to undo it) are parts of a sentence."""

    target: Ref
    tasks_before: Collection[str]
    ends: float
    seconds: float
    request: str
    undo: str = ""
    replicas_before: int = 0
    replicas: int = 0


async def scale(
    send: SendRequest, target: Ref, wanted: int, timeout: float, job: Job, *, may_shrink: bool = True
) -> Outcome:
    """Changes the number of replicas and waits until so many tasks run. `timeout`: in seconds. Raises UserError for a
    service that has no number of replicas, and Expired if the number would fall and not `may_shrink`."""
    began, service = time.monotonic(), ServiceRequests(send, target)
    tasks_before = {task.id for task in await service.tasks()}
    was, grace = 0, 0.0

    def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal was, grace
        was, grace = decode.replicas(target, raw), decode.stop_grace(raw)
        if was > wanted and not may_shrink:
            text = f"{target.name} has {was} replicas now, so {wanted} would end tasks. Nothing was done."
            raise errors.Expired(text, hint="Give the command again.")
        return None if was == wanted else {**raw["Spec"], "Mode": {"Replicated": {"Replicas": wanted}}}

    if not await service.update(change):
        return _ended(began, *await _unchanged(service, wanted))
    allowed = timeout + (grace if wanted < was else 0.0)
    rollout = _Rollout(
        target=target,
        tasks_before=tasks_before,
        ends=began + allowed,
        seconds=allowed,
        request=f"{wanted} were asked for",
        undo=f"The Swarm goes on trying; to end that: scale {target.name}={was}",
        replicas_before=was,
        replicas=wanted,
    )
    status, detail = await _wait(rollout, job, lambda late: _look_at_number(service, rollout, job, late))
    return _ended(began, status, detail)


async def update_image(send: SendRequest, target: Ref, image: str, timeout: float, job: Job) -> Outcome:
    """Updates a service to `image`, pinned to its digest if known, and waits until its tasks run it."""
    began, service = time.monotonic(), ServiceRequests(send, target)
    pinned, note = await service.pinned(image)
    tasks_before = {task.id for task in await service.tasks()}
    was = ""

    def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal was
        spec: dict[str, Any] = raw["Spec"]
        container = spec["TaskTemplate"].get("ContainerSpec")
        if container is None:
            raise errors.UserError(
                f"{target.name} has no image to update: its tasks run a plugin or attach a network.",
                hint="Choose a service that runs containers. List services with: services",
            )
        was = str(container.get("Image") or "")
        if was == pinned:
            return None
        template = {**spec["TaskTemplate"], "ContainerSpec": {**container, "Image": pinned}}
        return {**spec, "TaskTemplate": template}

    if not await service.update(change, image=image):
        return _ended(began, Status.NOOP, f"is asked to run {image} already{note}")
    rollout = _Rollout(
        target=target,
        tasks_before=tasks_before,
        ends=began + timeout,
        seconds=timeout,
        request=f"{image} was asked for",
    )
    status, detail = await _wait(rollout, job, lambda late: _look_at_update(service, rollout, job, late, back=False))
    return _ended(began, status, f"from {was.partition('@')[0]} to {image}; {detail}{note}" if detail else detail)


async def roll_back(send: SendRequest, target: Ref, timeout: float, job: Job) -> Outcome:
    """Rolls a service back to its specification before the last update, and waits for its tasks. `timeout`: in
    seconds."""
    began, service = time.monotonic(), ServiceRequests(send, target)
    tasks_before = {task.id for task in await service.tasks()}

    def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        if not raw.get("PreviousSpec"):
            raise errors.UserError(
                f"{target.name} cannot be rolled back: it was not updated since it was created.",
                hint="Update its image instead.",
            )
        spec: dict[str, Any] = raw["Spec"]
        return spec

    await service.update(change, "&registryAuthFrom=previous-spec&rollback=previous")
    rollout = _Rollout(
        target=target,
        tasks_before=tasks_before,
        ends=began + timeout,
        seconds=timeout,
        request="a roll back was asked for",
    )
    status, detail = await _wait(rollout, job, lambda late: _look_at_update(service, rollout, job, late, back=True))
    image = await service.image()
    return _ended(began, status, f"back to {image}; {detail}" if status is Status.DONE and image else detail)


def _ended(began: float, status: Status, detail: str) -> Outcome:
    return Outcome(status=status, detail=detail, took=time.monotonic() - began)


async def _wait(
    rollout: _Rollout, job: Job, look: Callable[[bool], Awaitable[tuple[Status, str] | None]]
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
            await asyncio.sleep(POLL_SECONDS)
    except asyncio.CancelledError:
        job.end(Outcome(status=Status.UNKNOWN, detail=f"{rollout.request}; the job was stopped before the tasks ran"))
        raise


async def _unchanged(service: ServiceRequests, wanted: int) -> tuple[Status, str]:
    tasks = await service.tasks()
    running = sum(task.status.state == "running" for task in tasks)
    if running == wanted:
        return Status.NOOP, f"has {wanted} already"
    why = decode.why(tasks, decode.failing(service.target, tasks))
    return Status.NOOP, f"was asked to have {wanted} already; {running} run{why}"


async def _look_at_number(
    service: ServiceRequests, rollout: _Rollout, job: Job, late: bool
) -> tuple[Status, str] | None:
    tasks, wanted = await service.tasks(), rollout.replicas
    running = [task for task in tasks if task.status.state == "running"]
    failing = decode.failing(rollout.target, [task for task in tasks if task.id not in rollout.tasks_before])
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
    service: ServiceRequests, rollout: _Rollout, job: Job, late: bool, *, back: bool
) -> tuple[Status, str] | None:
    raw, tasks = await service.inspect(), await service.tasks()
    update = raw.get("UpdateStatus") or {}
    state = str(update.get("State") or "")
    image = str(((raw["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image") or "")
    alive = [task for task in tasks if task.desired in ("running", "complete")]
    new = [task for task in alive if task.image == image and task.status.state in ("running", "complete")]
    failing = decode.failing(rollout.target, [task for task in tasks if task.id not in rollout.tasks_before])
    replicated = (raw["Spec"].get("Mode") or {}).get("Replicated")
    total = len(alive) if replicated is None else replicated.get("Replicas", 1)
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
    action = (raw["Spec"].get("UpdateConfig") or {}).get("FailureAction")
    if failing and failing[0] >= MAX_FAILURES and (action == CONTINUES or state == ""):
        return Status.FAILED, f"{so_far}; {failing[1]}. The Swarm goes on trying"
    if late:
        return Status.FAILED, f"{so_far} after {rollout.seconds:.0f} s{why}; {state or 'not begun'}"
    return None
