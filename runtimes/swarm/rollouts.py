"""What a Swarm does with the tasks of a service over a while, each as one job: another number of them, another image,
back to what was.

An update carries the version it was made from; one that came too late changed nothing and is sent once more. Then the
service and its tasks are looked at until they are as asked, keep failing, or the time is over; a Swarm that chooses
another leader meanwhile is waited for. A job that is stopped leaves the Swarm to go on by itself and says so.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from core import errors
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.swarm import decode, models
from runtimes.swarm.models import Task
from runtimes.transport import http_client

OUT_OF_SEQUENCE = "out of sequence"
POLL = 0.5  # seconds between looks at the tasks
STEADY = 3.0  # seconds they all have to run
SECOND_TRY = 2  # failed tasks of one place after which waiting on is no use
LAST_LOOK = 10.0  # seconds
DIGEST = 8.0
CONTINUES = "continue"


class Ask(Protocol):
    """One exchange with the Swarm: raises NotFound, Rejected and the other EngineErrors."""

    def __call__(
        self, method: str, target: str, seconds: float, *, body: Any = None
    ) -> Awaitable[http_client.Response]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Follow:
    """A service that was told to change. `known`: the tasks before; `ends`: by our clock; `wish`: what was asked for,
    `undo`: how to take it back, both as parts of a sentence."""

    target: Ref
    known: Collection[str]
    ends: float
    seconds: float
    wish: str
    undo: str = ""
    was: int = 0
    wanted: int = 0


async def scale(ask: Ask, target: Ref, wanted: int, timeout: float, job: Job) -> Outcome:
    """Raises UserError for a service that has no number of replicas. `timeout`: seconds until all have to run."""
    began, service = time.monotonic(), _Service(ask, target)
    known = {task.id for task in await service.tasks()}
    was = 0

    def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal was
        was = decode.replicas(target, raw)
        return None if was == wanted else {**raw["Spec"], "Mode": {"Replicated": {"Replicas": wanted}}}

    if not await service.update(change):
        return _ended(began, *await _left_alone(service, wanted))
    follow = _Follow(
        target=target,
        known=known,
        ends=began + timeout,
        seconds=timeout,
        wish=f"{wanted} were asked for",
        undo=f"The Swarm goes on trying; to end that: scale {target.name}={was}",
        was=was,
        wanted=wanted,
    )
    status, detail = await _watched(follow, job, lambda late: _number(service, follow, job, late))
    return _ended(began, status, detail)


async def update_image(ask: Ask, target: Ref, image: str, timeout: float, job: Job) -> Outcome:
    """Ends when the tasks run `image`, which is pinned to its digest where a registry tells that."""
    began, service = time.monotonic(), _Service(ask, target)
    pinned, note = await service.pinned(image)
    known = {task.id for task in await service.tasks()}
    was = ""

    def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal was
        spec: dict[str, Any] = raw["Spec"]
        container = spec["TaskTemplate"].get("ContainerSpec")
        if container is None:
            raise errors.UserError(f"{target.name} runs no image: it is a plugin or something attached.")
        was = str(container.get("Image") or "")
        if was == pinned:
            return None
        template = {**spec["TaskTemplate"], "ContainerSpec": {**container, "Image": pinned}}
        return {**spec, "TaskTemplate": template}

    if not await service.update(change):
        return _ended(began, Status.NOOP, f"is asked to run {image} already{note}")
    follow = _Follow(target=target, known=known, ends=began + timeout, seconds=timeout, wish=f"{image} was asked for")
    status, detail = await _watched(follow, job, lambda late: _rollout(service, follow, job, late, back=False))
    return _ended(began, status, f"from {was.partition('@')[0]} to {image}; {detail}{note}" if detail else detail)


async def roll_back(ask: Ask, target: Ref, timeout: float, job: Job) -> Outcome:
    """Back to what the service was before its last update."""
    began, service = time.monotonic(), _Service(ask, target)
    known = {task.id for task in await service.tasks()}

    def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        if not raw.get("PreviousSpec"):
            raise errors.UserError(
                f"{target.name} has no earlier version to go back to.",
                hint="It was not updated since it was made.",
            )
        spec: dict[str, Any] = raw["Spec"]
        return spec

    await service.update(change, "&registryAuthFrom=previous-spec&rollback=previous")
    follow = _Follow(
        target=target, known=known, ends=began + timeout, seconds=timeout, wish="a roll back was asked for"
    )
    status, detail = await _watched(follow, job, lambda late: _rollout(service, follow, job, late, back=True))
    image = await service.image()
    return _ended(began, status, f"back to {image}; {detail}" if status is Status.DONE and image else detail)


def _ended(began: float, status: Status, detail: str) -> Outcome:
    return Outcome(status=status, detail=detail, took=time.monotonic() - began)


async def _watched(
    follow: _Follow, job: Job, look: Callable[[bool], Awaitable[tuple[Status, str] | None]]
) -> tuple[Status, str]:
    """Looks until a look tells how it ended; the last one is told that it is the last."""
    try:
        while True:
            late = time.monotonic() > follow.ends
            try:
                if (end := await look(late)) is not None:
                    return end
            except errors.EngineError as error:
                # A Swarm that chooses another leader is back in some seconds.
                if late:
                    return Status.UNKNOWN, f"{follow.wish}, and then: {error.full_message()}"
            await asyncio.sleep(POLL)
    except asyncio.CancelledError:
        job.end(Outcome(status=Status.UNKNOWN, detail=f"{follow.wish}; nobody waited until they run"))
        raise


async def _left_alone(service: _Service, wanted: int) -> tuple[Status, str]:
    tasks = await service.tasks()
    running = sum(task.status.state == "running" for task in tasks)
    if running == wanted:
        return Status.NOOP, f"has {wanted} already"
    why = decode.why(tasks, decode.failing(service.target, tasks))
    return Status.NOOP, f"was asked to have {wanted} already; {running} run{why}"


async def _number(service: _Service, follow: _Follow, job: Job, late: bool) -> tuple[Status, str] | None:
    tasks, wanted = await service.tasks(), follow.wanted
    running = [task for task in tasks if task.status.state == "running"]
    failing = decode.failing(follow.target, [task for task in tasks if task.id not in follow.known])
    whole = len(running) == wanted and all(task.desired == "running" for task in running)
    if whole and (wanted == 0 or service.steady()):
        return Status.DONE, f"from {follow.was} to {wanted}{await service.told()}"
    if not whole:
        service.unsteady()
    so_far = f"{len(running)} of {wanted} run"
    job.progress(f"{so_far}{f'; {failing[1]}' if failing else ''}")
    if whole:
        return None
    if failing and failing[0] >= SECOND_TRY:
        return Status.FAILED, f"{so_far}; {failing[1]}. {follow.undo}"
    if late:
        why = decode.why(tasks, failing)
        return Status.FAILED, f"{so_far} after {follow.seconds:.0f} s{why}{await service.told()}"
    return None


async def _rollout(
    service: _Service, follow: _Follow, job: Job, late: bool, *, back: bool
) -> tuple[Status, str] | None:
    raw, tasks = await service.inspect(), await service.tasks()
    update = raw.get("UpdateStatus") or {}
    state = str(update.get("State") or "")
    image = str(((raw["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image") or "")
    alive = [task for task in tasks if task.desired in ("running", "complete")]
    new = [task for task in alive if task.image == image and task.status.state in ("running", "complete")]
    failing = decode.failing(follow.target, [task for task in tasks if task.id not in follow.known])
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
            # Where no task has to change (none is wanted, or a job runs anew) no update is told of.
            if len(new) == total and service.steady():
                return Status.DONE, so_far
    action = (raw["Spec"].get("UpdateConfig") or {}).get("FailureAction")
    if failing and failing[0] >= SECOND_TRY and (action == CONTINUES or state == ""):
        return Status.FAILED, f"{so_far}; {failing[1]}. The Swarm goes on trying"
    if late:
        return Status.FAILED, f"{so_far} after {follow.seconds:.0f} s{why}; {state or 'not begun'}"
    return None


class _Service:
    """One service as it is asked for again and again."""

    def __init__(self, ask: Ask, target: Ref) -> None:
        self._ask, self.target = ask, target
        self._id = urllib.parse.quote(target.id, safe="")
        self._steady_since = 0.0

    async def update(self, change: Callable[[dict[str, Any]], dict[str, Any] | None], how: str = "") -> bool:
        """Sends the specification that `change` makes of the service; False where it makes none."""
        how = how or "&registryAuthFrom=spec"
        for attempt in (1, 2):
            raw = await self.inspect()
            spec = change(raw)
            if spec is None:
                return False
            path = f"/services/{self._id}/update?version={raw['Version']['Index']}{how}"
            try:
                await self._manage("POST", path, body=spec)
            except errors.Rejected as error:
                if OUT_OF_SEQUENCE not in error.text or attempt == 2:
                    raise
                continue
            return True
        raise AssertionError("two attempts end in an answer or an error")

    async def inspect(self) -> dict[str, Any]:
        return models.decode(models.RAW, await self._manage("GET", f"/services/{self._id}"))

    async def tasks(self) -> Sequence[Task]:
        filters = urllib.parse.quote(msgspec.json.encode({"service": [self.target.id]}).decode())
        return models.decode(models.TASKS, await self._manage("GET", f"/tasks?filters={filters}"))

    async def told(self) -> str:
        state = decode.update(await self.inspect())
        return f"; {state}" if state else ""

    async def image(self) -> str:
        try:
            raw = await self.inspect()
        except errors.QuarterdeckError:
            return ""
        container = (raw["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}
        return str(container.get("Image") or "").partition("@")[0]

    async def pinned(self, image: str) -> tuple[str, str]:
        """The image with its digest, and a note where no registry told one: nodes then run whatever they find."""
        if "@" in image:
            return image, ""
        try:
            answer = await self._ask("GET", f"/distribution/{urllib.parse.quote(image, safe='/:')}/json", DIGEST)
            found = models.decode(models.RAW, answer.body)
            return f"{image}@{found['Descriptor']['digest']}", ""
        except (errors.QuarterdeckError, KeyError, TypeError):
            return image, "; no registry told its digest, so each node runs what it has or finds under that name"

    def steady(self) -> bool:
        """Whether it has been as it should for long enough."""
        self._steady_since = self._steady_since or time.monotonic()
        return time.monotonic() - self._steady_since >= STEADY

    def unsteady(self) -> None:
        self._steady_since = 0.0

    async def _manage(self, method: str, path: str, body: Any = None) -> bytes:
        try:
            return (await self._ask(method, path, LAST_LOOK, body=body)).body
        except errors.NotFound:
            raise errors.NotFound(f"{self.target.name} is gone: the Swarm has no such service.") from None
