"""Sequences made of an engine's small steps: one verb, run beside the engine as one job, told truthfully when half
done.

`scale` brings a compose service to so many replicas, as compose would: new ones are made like one that exists and are
waited for until they run (and are healthy where that is checked); too many end with the highest number first, by their
own grace, and are removed without their volumes. All that could forbid it is looked at before the first step. A step
is sent once: the first that fails ends the sequence when those under way beside it have ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from core import errors
from core.model.containers import Container, protected
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.compose import services

Item = TypeVar("Item")
LAST_STEP = 15.0  # seconds a step may take beyond the time given for the whole
AT_ONCE = 4
POLL = 0.4  # seconds between looks
STEADY = 2.0  # seconds a container without a health check has to run


class Like(Protocol):
    """How one more replica is made. Nothing is sent to the engine before `create`."""

    def name(self, number: int) -> str: ...

    async def create(self, number: int, seconds: float) -> Ref: ...


class Steps(Protocol):
    """What an adapter can do one by one; each within `seconds`, raising core.errors. `describe` as in mirror.Watched;
    `like` raises UserError where no second container can be made after the given ones."""

    async def replicas(self, project: str, service: str, seconds: float) -> Sequence[Container]: ...

    async def like(self, replicas: Sequence[Container], seconds: float) -> Like: ...

    async def start(self, thing: Ref, seconds: float) -> None: ...

    async def stop(self, thing: Ref, seconds: float) -> None: ...

    async def remove(self, thing: Ref, seconds: float) -> None: ...

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]: ...


async def scale(steps: Steps, service: Ref, wanted: int, timeout: float, job: Job) -> Outcome:
    """`timeout`: seconds until all replicas have to run; no step begins later."""
    return await _Scaling(steps, service, wanted, timeout, job).run()


class _Scaling:
    def __init__(self, steps: Steps, service: Ref, wanted: int, timeout: float, job: Job) -> None:
        self._steps, self._service, self._wanted, self._job = steps, service, wanted, job
        self._project, _, self._name = service.id.partition("/")
        self._began = time.monotonic()
        self._ends = self._began + timeout
        self._timeout = timeout
        self._was = 0
        self._created: list[str] = []
        self._started: list[str] = []
        self._removed: list[str] = []

    async def run(self) -> Outcome:
        try:
            return await self._run()
        except asyncio.CancelledError:
            self._job.end(self._end(Status.UNKNOWN, f"{self._tale()}it was stopped on the way"))
            raise
        except errors.QuarterdeckError as error:
            sent = getattr(error, "sent", False)
            return self._end(Status.UNKNOWN if sent else Status.FAILED, f"{self._tale()}{error.full_message()}")

    async def _run(self) -> Outcome:
        replicas = await self._replicas()
        self._was = len(replicas)
        if not replicas:
            raise errors.NotFound(
                f"{self._service.name} has no container any more.",
                hint="Its compose file is needed: docker compose up.",
            )
        if any(protected(row.labels) for row in replicas):
            raise errors.Protected(f"A container of {self._service.name} is marked as protected.")
        kept, surplus = replicas[: self._wanted], replicas[self._wanted :]
        asleep = [row.ref for row in kept if row.state not in services.ACTIVE]
        if not surplus and not asleep and len(kept) == self._wanted:
            return self._end(Status.NOOP, f"has {self._wanted} already")
        self._job.progress(f"{self._was} there, {self._wanted} wanted")
        made: list[Ref] = []
        if len(kept) < self._wanted:
            like = await self._steps.like(replicas, self._left())
            taken = {services.number(row.labels) for row in replicas}
            free = (number for number in range(1, self._wanted + len(taken) + 1) if number not in taken)
            numbers = [number for number, _ in zip(free, range(self._wanted - len(kept)), strict=False)]
            await self._each(numbers, lambda number: self._create(like, number, made))
        await self._each(asleep, self._wake)
        await self._each(surplus[::-1], self._take_away)
        fresh = [*made, *asleep]
        if fresh:
            await self._until_up(fresh, len(kept) - len(asleep))
        return self._end(Status.DONE, self._came_out())

    async def _replicas(self) -> list[Container]:
        found = await self._steps.replicas(self._project, self._name, self._left())
        return sorted(found, key=lambda row: (services.number(row.labels), row.ref.name))

    async def _create(self, like: Like, number: int, made: list[Ref]) -> None:
        ref = await like.create(number, self._left() + LAST_STEP)
        self._created.append(ref.name)
        await self._steps.start(ref, self._left() + LAST_STEP)
        made.append(ref)
        self._job.progress(f"{len(self._created)} created")

    async def _wake(self, ref: Ref) -> None:
        await self._steps.start(ref, self._left() + LAST_STEP)
        self._started.append(ref.name)

    async def _take_away(self, row: Container) -> None:
        if row.state in services.ACTIVE:
            await self._steps.stop(row.ref, self._left() + LAST_STEP)
        await self._steps.remove(row.ref, self._left() + LAST_STEP)
        self._removed.append(row.ref.name)
        self._job.progress(f"{len(self._removed)} of {self._was - self._wanted} removed")

    async def _each(self, items: Sequence[Item], step: Callable[[Item], Awaitable[None]]) -> None:
        """In their order, a few at once; after the first that fails no other begins."""
        queue = list(items)
        failed: list[errors.QuarterdeckError] = []

        async def worker() -> None:
            while queue and not failed:
                item = queue.pop(0)
                try:
                    if self._left() <= 0:
                        raise errors.EngineError(f"there was no time left after {self._timeout:.0f} s.")
                    await step(item)
                except errors.QuarterdeckError as error:
                    failed.append(error)

        await asyncio.gather(*(worker() for _ in range(min(AT_ONCE, len(queue)))))
        if failed:
            # Of several the one that leaves it open counts.
            raise next((error for error in failed if getattr(error, "sent", False)), failed[0])

    async def _until_up(self, fresh: Sequence[Ref], already: int) -> None:
        """Raises EngineError for the first that ends or turns unhealthy, or with those not up when the time is over."""
        running_since: dict[str, float] = {}
        while True:
            found = await self._steps.describe([ref.id for ref in fresh], max(1.0, self._left()) + LAST_STEP)
            now = time.monotonic()
            waiting = []
            for ref in fresh:
                row = found.get(ref.id)
                _refuse_ended(ref, row)
                if row is not None and row.state == "running":
                    since = running_since.setdefault(ref.id, now)
                    if row.health == "healthy" or (not row.health and now - since >= STEADY):
                        continue
                waiting.append((ref, row))
            up = already + len(fresh) - len(waiting)
            self._job.progress(f"{up} of {self._wanted} run")
            if not waiting:
                return
            if self._left() <= 0:
                ref, row = waiting[0]
                why = f"{ref.name} is {_how(row)}" + (f", {len(waiting) - 1} more like it" if len(waiting) > 1 else "")
                raise errors.EngineError(f"{up} of {self._wanted} run after {self._timeout:.0f} s; {why}.")
            await asyncio.sleep(POLL)

    def _left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    def _tale(self) -> str:
        """What was done before it went wrong."""
        parts = [
            f"{word} {', '.join(names[:10])}" + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            for word, names in (("created", self._created), ("started", self._started), ("removed", self._removed))
            if names
        ]
        return f"{', '.join(parts)}, then " if parts else ""

    def _came_out(self) -> str:
        if self._was == self._wanted:
            return f"to {self._wanted}, {len(self._started)} of them started again"
        text = f"from {self._was} to {self._wanted}"
        return text if self._wanted else f"{text} (only its compose file brings it back: docker compose up)"

    def _end(self, status: Status, detail: str) -> Outcome:
        return Outcome(status=status, detail=detail, took=time.monotonic() - self._began)


def _refuse_ended(ref: Ref, row: Container | None) -> None:
    if row is None:
        raise errors.EngineError(f"{ref.name} was removed by somebody.")
    if row.state in ("exited", "dead"):
        raise errors.EngineError(f"{ref.name} ended with code {row.exit_code or 0}.", hint=f"See: logs {ref.name}")
    if row.restarts:
        raise errors.EngineError(f"{ref.name} ended and was started again.", hint=f"See: logs {ref.name}")
    if row.health == "unhealthy":
        raise errors.EngineError(f"{ref.name} is unhealthy.", hint=f"See: logs {ref.name}")


def _how(row: Container | None) -> str:
    if row is None or row.state != "running":
        return row.state if row is not None else "gone"
    return "running and not yet healthy" if row.health == "starting" else "running"
