"""Scales a Compose service to a number of replicas, as one job that creates, starts, stops and removes containers.

The job works as Docker Compose does. It copies new replicas from an existing one. It waits until the new replicas run,
and until they are healthy if they have a health check. It stops surplus replicas within their own grace period, the
highest number first, and removes them without their volumes. Everything that could forbid the job is checked before its
first step. Each step is sent only once. If a step fails, the job awaits the steps that run at the same time and then
ends. The outcome reports what was done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeVar

from core import errors
from core.model.containers import Container, protected
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base import stop_grace
from runtimes.base.jobs import Job
from runtimes.compose import services

Item = TypeVar("Item")
STEP_SECONDS = 15.0  # how long a step may take beyond the timeout of the whole
MAX_CONCURRENT = 4  # steps
POLL_SECONDS = 0.4
MIN_UPTIME = 2.0  # seconds that a container without a health check has to run


async def scale_service(
    operations: ContainerOperations,
    service: Ref,
    replicas: int,
    timeout: float,
    job: Job,
    *,
    removable: Collection[str] | None = None,
) -> Outcome:
    """Runs the job. `timeout`: seconds until all replicas have to run; no step begins later. `removable`: the ids of
    the only containers that it may remove; None: no limit."""
    return await _Scaling(operations, service, replicas, timeout, job, removable).run()


class ContainerOperations(Protocol):
    """Defines the steps that an engine implements. Each ends within `seconds` and raises core.errors."""

    async def replicas(self, project: str, service: str, seconds: float, /) -> Sequence[Container]: ...

    async def template(self, replicas: Sequence[Container], seconds: float, /) -> ReplicaTemplate:
        """Returns the template for new replicas, made from the existing ones. Raises UserError if that is not
        possible."""

    async def remember(self, replicas: Sequence[Container], seconds: float, /) -> bool:
        """Stores the template for new replicas while there are none. Returns False if that is not possible."""

    async def remembered(self, project: str, service: str, number: int, seconds: float, /) -> ReplicaTemplate | None:
        """Returns the stored template for this number of replicas. Raises UserError if it makes only one."""

    async def start(self, container: Ref, seconds: float, /) -> None: ...

    async def stop(self, container: Ref, seconds: float, /) -> bool:
        """Returns whether the container did not end within its grace and was killed."""

    async def remove(self, container: Ref, seconds: float, /) -> None: ...

    async def describe(self, ids: Sequence[str], seconds: float, /) -> dict[str, Container | None]:
        """Returns the containers by id; None for a container that was removed."""


class ReplicaTemplate(Protocol):
    """Makes one more replica. Nothing is sent to the engine before `create`."""

    def name(self, number: int) -> str: ...

    async def create(self, number: int, seconds: float) -> Ref: ...


class _Scaling:
    def __init__(  # noqa: PLR0917 (as `scale_service`)
        self,
        operations: ContainerOperations,
        service: Ref,
        wanted: int,
        timeout: float,
        job: Job,
        removable: Collection[str] | None,
    ) -> None:
        self._operations, self._service, self._wanted, self._job = operations, service, wanted, job
        self._removable = removable
        self._project, _, self._name = service.id.partition("/")
        self._began = time.monotonic()
        self._ends = self._began + timeout
        self._timeout = timeout
        self._before = 0
        self._created: list[str] = []
        self._started: list[str] = []
        self._removed: list[str] = []
        self._killed: list[str] = []
        self._remembered = False

    async def run(self) -> Outcome:
        try:
            return await self._run()
        except asyncio.CancelledError:
            self._job.end(self._outcome(Status.UNKNOWN, f"{self._done_before()}the job was stopped"))
            raise
        except errors.QuarterdeckError as error:
            sent = isinstance(error, errors.EngineError) and error.sent
            return self._outcome(
                Status.UNKNOWN if sent else Status.FAILED, f"{self._done_before()}{error.full_message()}"
            )

    async def _run(self) -> Outcome:
        replicas = await self._replicas()
        self._before = len(replicas)
        if not replicas:
            return await self._run_from_nothing()
        if locked := next((row.ref.name for row in replicas if protected(row.labels)), ""):
            raise errors.Protected(
                f"{self._service.name} cannot be scaled: its container {locked} has the label quarterdeck.protected.",
                hint=f"Create {locked} again without the label.",
            )
        services.check_one_project(self._service.name, replicas)
        staying, surplus = replicas[: self._wanted], replicas[self._wanted :]
        if self._removable is not None:
            changed = next((row.ref.name for row in surplus if row.ref.id not in self._removable), "")
            if changed:
                raise errors.Expired(
                    f"{self._service.name} has changed since the command was accepted: {changed} would be removed too."
                    " Nothing was done.",
                    hint="Give the command again.",
                )
        stopped = [row.ref for row in staying if row.state not in services.ACTIVE]
        if not surplus and not stopped and len(staying) == self._wanted:
            return self._outcome(Status.NOOP, f"has {self._wanted} already")
        self._job.progress(f"{self._before} exist, {self._wanted} wanted")
        if not self._wanted:
            self._remembered = await self._operations.remember(replicas, self._left())
        made: list[Ref] = []
        if len(staying) < self._wanted:
            template = await self._operations.template(replicas, self._left())
            taken = {services.replica_number(row.labels) for row in replicas}
            free = (number for number in range(1, self._wanted + len(taken) + 1) if number not in taken)
            numbers = [number for number, _ in zip(free, range(self._wanted - len(staying)), strict=False)]
            await self._each(numbers, lambda number: self._create(template, number, made))
        # What an interrupted recreation was about to replace goes first, so that its ports are free for its successor.
        old = services.superseded_containers(replicas)
        await self._each([row for row in surplus if row.ref.id in old], self._remove, limited=False)
        await self._each(stopped, self._start)
        await self._each([row for row in surplus[::-1] if row.ref.id not in old], self._remove, limited=False)
        started = [*made, *stopped]
        if started:
            await self._wait_until_up(started, len(staying) - len(stopped))
        return self._outcome(Status.DONE, self._summary())

    async def _run_from_nothing(self) -> Outcome:
        """Creates replicas of a service whose last container this process removed."""
        template = await self._operations.remembered(self._project, self._name, self._wanted, self._left())
        if template is None:
            raise errors.NotFound(
                f"{self._service.name} cannot be scaled: it has no container to copy.",
                hint="Create the first container of the service from its Compose file: docker compose up -d"
                f" {self._name}",
            )
        if not self._wanted:
            return self._outcome(Status.NOOP, "has 0 already")
        made: list[Ref] = []
        await self._each(list(range(1, self._wanted + 1)), lambda number: self._create(template, number, made))
        await self._wait_until_up(made, 0)
        return self._outcome(Status.DONE, self._summary())

    async def _replicas(self) -> list[Container]:
        found = await self._operations.replicas(self._project, self._name, self._left())
        return services.in_order(found)

    async def _create(self, template: ReplicaTemplate, number: int, made: list[Ref]) -> None:
        ref = await template.create(number, self._left() + STEP_SECONDS)
        self._created.append(ref.name)
        await self._operations.start(ref, self._left() + STEP_SECONDS)
        made.append(ref)
        self._job.progress(f"{len(self._created)} created")

    async def _start(self, ref: Ref) -> None:
        await self._operations.start(ref, self._left() + STEP_SECONDS)
        self._started.append(ref.name)

    async def _remove(self, row: Container) -> None:
        if row.state in services.ACTIVE and await self._operations.stop(row.ref, self._left() + STEP_SECONDS):
            self._killed.append(row.ref.name)
        await self._operations.remove(row.ref, self._left() + STEP_SECONDS)
        self._removed.append(row.ref.name)
        self._job.progress(f"{len(self._removed)} of {self._before - self._wanted} removed")

    async def _each(
        self, items: Sequence[Item], step: Callable[[Item], Awaitable[None]], *, limited: bool = True
    ) -> None:
        """Runs the step for each item in order, a few at once. After the first failure no further step begins, and if
        they are `limited`, none after the timeout: the stop of a replica takes the time that it asks for itself."""
        queue = list(items)
        failed: list[errors.QuarterdeckError] = []

        async def worker() -> None:
            while queue and not failed:
                item = queue.pop(0)
                try:
                    if limited and self._left() <= 0:
                        raise errors.EngineError(
                            f"The time limit of {self._timeout:.0f} s passed before all replicas of"
                            f" {self._service.name} ran.",
                            hint="Give a longer --timeout.",
                        )
                    await step(item)
                except errors.QuarterdeckError as error:
                    failed.append(error)

        await asyncio.gather(*(worker() for _ in range(min(MAX_CONCURRENT, len(queue)))))
        if failed:
            # If several failed, one whose outcome is not known is reported first.
            raise next((error for error in failed if isinstance(error, errors.EngineError) and error.sent), failed[0])

    async def _wait_until_up(self, started: Sequence[Ref], already: int) -> None:
        """Raises EngineError for the first container that ends or becomes unhealthy, and at the timeout."""
        running_since: dict[str, float] = {}
        while True:
            found = await self._operations.describe([ref.id for ref in started], max(1.0, self._left()) + STEP_SECONDS)
            now = time.monotonic()
            waiting = []
            for ref in started:
                row = found.get(ref.id)
                _check_running(ref, row)
                if row is not None and row.state == "running":
                    since = running_since.setdefault(ref.id, now)
                    if row.health == "healthy" or (not row.health and now - since >= MIN_UPTIME):
                        continue
                else:
                    running_since.pop(ref.id, None)
                waiting.append((ref, row))
            up = already + len(started) - len(waiting)
            self._job.progress(f"{up} of {self._wanted} run")
            if not waiting:
                return
            if self._left() <= 0:
                ref, row = waiting[0]
                others = f", and {len(waiting) - 1} more are not up" if len(waiting) > 1 else ""
                raise errors.EngineError(
                    f"Only {up} of {self._wanted} replicas run after {self._timeout:.0f} s; {ref.name} is "
                    f"{_state(row)}{others}.",
                    hint=f"Read the log of the container: logs {ref.name}. If it needs more time, give a longer"
                    " --timeout.",
                )
            await asyncio.sleep(POLL_SECONDS)

    def _left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    def _done_before(self) -> str:
        """Returns what was done before the failure, as the beginning of a sentence."""
        parts = [
            f"{verb} {', '.join(names[:10])}" + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            for verb, names in (("created", self._created), ("started", self._started), ("removed", self._removed))
            if names
        ]
        return f"{', '.join(parts)}, then " if parts else ""

    def _summary(self) -> str:
        if self._before == self._wanted:
            return f"to {self._wanted}, {len(self._started)} of them started again"
        text = f"from {self._before} to {self._wanted}"
        if self._wanted:
            return text
        again = f"scale {self._service.name}=1, or after a restart of Quarterdeck" if self._remembered else ""
        return f"{text} (to start it again: {again}{', ' if again else ''}docker compose up)"

    def _outcome(self, status: Status, detail: str) -> Outcome:
        """Returns the outcome. It names the replicas that were killed, also if the job did not reach its end."""
        killed = stop_grace.were_killed(self._killed)
        if killed and detail:
            detail = f"{detail} {killed}." if detail.endswith(".") else f"{detail}; {killed}"
        took = time.monotonic() - self._began
        return Outcome(status=status, detail=detail, took=took, killed=tuple(sorted(self._killed)))


def _check_running(ref: Ref, row: Container | None) -> None:
    if row is None:
        raise errors.EngineError(
            f"{ref.name} was removed by somebody else while this command ran.",
            hint="List the remaining containers with `ps`, then give the command again.",
        )
    if row.state in ("exited", "dead"):
        code = "" if row.exit_code is None else f" with code {row.exit_code}"
        raise errors.EngineError(f"{ref.name} ended{code}.", hint=f"Read the log of the container: logs {ref.name}")
    if row.restarts:
        raise errors.EngineError(
            f"{ref.name} ended soon after its start, and its restart policy started it again.",
            hint=f"Read the log of the container: logs {ref.name}",
        )
    if row.health == "unhealthy":
        raise errors.EngineError(
            f"{ref.name} failed its health check.", hint=f"Read the log of the container: logs {ref.name}"
        )


def _state(row: Container | None) -> str:
    if row is None or row.state != "running":
        return row.state if row is not None else "removed"
    return "running and not yet healthy" if row.health == "starting" else "running"
