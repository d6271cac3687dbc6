"""Restarts the containers of a Compose project as one job, each container after the ones that it depends on.

The job works as Docker Compose does: it waits until a dependency is healthy or has ended with code 0, if that is its
condition. Containers that do not run stay as they are, and the outcome lists them. Before the first restart, the job
checks that the dependencies have no cycle and that every dependency can start. After a failure, no other container is
restarted. The outcome then lists which containers were restarted and which were not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from core import errors
from core.model import actions
from core.model.containers import COMPOSE_SERVICE_LABEL, Container
from core.model.project_actions import RestartProject
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base import stop_grace
from runtimes.base.jobs import Job
from runtimes.compose import dependencies, services
from runtimes.compose.dependencies import COMPLETED, HEALTHY, Dependencies

MAX_CONCURRENT = 4  # restarts
STEP_SECONDS = 15.0
POLL_SECONDS = 0.4
MIN_UPTIME = 2.0  # seconds that a container without a health check has to run
MAX_NAMES = 10


class ContainerOperations(Protocol):
    """Defines what an engine does for the job. Raises core.errors."""

    async def describe(self, ids: Sequence[str], deadline: float) -> Mapping[str, Container | None]: ...

    async def restart(self, action: actions.Restart, seconds: float) -> Outcome: ...


async def restart_project(operations: ContainerOperations, action: RestartProject, job: Job) -> Outcome:
    """Runs the job."""
    return await _ProjectRestart(operations, action, job).run()


class _ProjectRestart:
    def __init__(self, operations: ContainerOperations, action: RestartProject, job: Job) -> None:
        self._operations, self._action, self._job = operations, action, job
        self._began = time.monotonic()
        self._ends = self._began + action.timeout
        self._rows: dict[str, Container] = {}
        self._restarted: list[Ref] = []
        self._restarts: dict[str, int] = {}  # how often a policy had restarted each, right after its own restart
        self._graph: Dependencies = {}
        self._killed: list[str] = []

    async def run(self) -> Outcome:
        try:
            return await self._run()
        except asyncio.CancelledError:
            self._job.end(self._outcome(Status.UNKNOWN, f"{self._done_before()}the job was stopped"))
            raise
        except errors.QuarterdeckError as error:
            sent = isinstance(error, errors.EngineError) and error.sent
            rest = self._not_restarted() if self._restarted else ""
            detail = f"{self._done_before()}{error.full_message().rstrip('.')}.{rest}"
            return self._outcome(Status.UNKNOWN if sent else Status.FAILED, detail)

    async def _run(self) -> Outcome:
        await self._read()
        self._graph = dependencies.read_dependencies(self._rows.values())
        order = dependencies.levels(self._action.project, self._graph)
        living = [row for row in self._rows.values() if row.state in services.ACTIVE]
        if not living:
            text = f"has no container that runs; start them with: start {self._action.project}/"
            return self._outcome(Status.NOOP, text)
        self._check_dependencies({_service(row) for row in living})
        names = []
        for level in order:
            mine = [row for row in living if _service(row) in level]
            for needed, condition in sorted({pair for row in mine for pair in self._graph[_service(row)].items()}):
                await self._wait_for(needed, condition)
            await self._restart_all(mine)
            names += sorted({_service(row) for row in mine})
        await self._wait_until_up([row.ref for row in living])
        return self._outcome(Status.DONE, f"in this order: {', '.join(names)}", self._left_alone())

    async def _read(self) -> None:
        refs = self._action.containers
        found = await self._operations.describe([ref.id for ref in refs], STEP_SECONDS)
        for ref in refs:
            if (row := found.get(ref.id)) is None:
                raise errors.Expired(
                    f"{ref.name} was removed after you gave the command. Nothing was done.",
                    hint="Give the command again.",
                )
            self._rows[ref.id] = row

    def _check_dependencies(self, living: set[str]) -> None:
        """Raises UserError for what will not come up again, before anything is restarted."""
        stranger = next((row for row in self._rows.values() if services.PROJECT not in row.labels), None)
        if stranger is not None:
            raise errors.UserError(
                f"{stranger.ref.name} does not belong to a project of Docker Compose. Nothing was done.",
                hint=f"Restart the tasks of a Swarm service with: service update --force {stranger.service or 'NAME'}",
            )
        removed = next((row for row in self._rows.values() if row.auto_remove), None)
        if removed is not None and removed.ref.engine.kind != "docker":
            raise errors.UserError(
                f"{removed.ref.name} was created with --rm, so {removed.ref.engine} removes it when it stops."
                " Nothing was"
                " done.",
                hint="Create the container again without --rm.",
            )
        for service in sorted(living):
            for needed, condition in self._graph[service].items():
                rows = self._of(needed)
                idle = rows and not any(row.state in services.ACTIVE for row in rows)
                if condition == HEALTHY and idle:
                    raise errors.UserError(
                        f"{service} depends on {needed}, which does not run. Nothing was restarted.",
                        hint=f"Start that service first: start {self._action.project}/{needed}",
                    )
                failed = next((row for row in rows if row.state != "exited" or row.exit_code), None)
                if condition == COMPLETED and idle and failed is not None:
                    how = f"ended with code {failed.exit_code}" if failed.state == "exited" else f"is {failed.state}"
                    raise errors.UserError(
                        f"{service} depends on {needed}, which {how}. Nothing was restarted.",
                        hint=f"Read the log of that container: logs {failed.ref.name}. Then run it again: start"
                        f" {failed.ref.name}",
                    )

    async def _restart_all(self, rows: Sequence[Container]) -> None:
        """Restarts containers, a few at once, and waits for those that have begun. After a failure and after the time
        limit, none is begun. If several failed, one whose outcome is not known is reported first."""
        queue, failed = list(rows), list[errors.QuarterdeckError]()
        self._job.progress(f"restarting {_names([row.ref for row in rows])}")

        async def worker() -> None:
            while queue and not failed:
                row = queue.pop(0)
                try:
                    if self._restarted:
                        self._check_time(row.ref, "restarted")
                    await self._restart(row)
                except errors.QuarterdeckError as error:
                    failed.append(error)

        await asyncio.gather(*(worker() for _ in range(min(MAX_CONCURRENT, len(queue)))))
        if failed:
            raise next((one for one in failed if isinstance(one, errors.EngineError) and one.sent), failed[0])

    async def _restart(self, row: Container) -> None:
        # A restart that has begun is given the container's own time to stop, also over the time limit of the whole.
        seconds = max(self._left(), actions.MAX_STOP_SECONDS) + STEP_SECONDS
        outcome = await self._operations.restart(actions.Restart(engine=row.ref.engine, target=row.ref), seconds)
        self._restarted.append(row.ref)
        self._killed += outcome.killed
        self._job.progress(f"{len(self._restarted)} restarted, the last of them {row.ref.name}")
        # Engines count from 0 again after a restart that somebody asked for.
        found = (await self._operations.describe([row.ref.id], STEP_SECONDS)).get(row.ref.id)
        self._restarts[row.ref.id] = min(row.restarts or 0, (found.restarts or 0) if found is not None else 0)

    async def _wait_for(self, service: str, condition: str) -> None:
        """Waits until the restarted containers of a service satisfy a condition."""
        refs = [row.ref for row in self._of(service) if row.ref in self._restarted]
        while refs and condition in (HEALTHY, COMPLETED):
            found = await self._operations.describe([ref.id for ref in refs], STEP_SECONDS)
            waiting = [ref for ref in refs if not self._satisfies(ref, found.get(ref.id), condition)]
            if not waiting:
                return
            what = "healthy" if condition == HEALTHY else "done"
            self._job.progress(f"waiting until {waiting[0].name} is {what}")
            self._check_time(waiting[0], what)
            await asyncio.sleep(POLL_SECONDS)

    def _satisfies(self, ref: Ref, row: Container | None, condition: str) -> bool:
        if condition == COMPLETED and row is not None and row.state == "exited":
            if row.exit_code:
                raise errors.EngineError(
                    f"{ref.name} ended with code {row.exit_code}.",
                    hint=f"Read the log of the container: logs {ref.name}",
                )
            return True
        self._check_running(ref, row)
        runs = row is not None and row.state == "running"
        return condition == HEALTHY and runs and row is not None and row.health in ("healthy", "")

    async def _wait_until_up(self, refs: Sequence[Ref]) -> None:
        """Waits until all containers run, and those with a health check are healthy. One that others wait for to end
        may have ended."""
        running_since: dict[str, float] = {}
        ending = {name for needed in self._graph.values() for name, how in needed.items() if how == COMPLETED}
        while True:
            found = await self._operations.describe([ref.id for ref in refs], STEP_SECONDS)
            now, waiting = time.monotonic(), []
            for ref in refs:
                row = found.get(ref.id)
                if _service(self._rows[ref.id]) in ending and row is not None and row.state == "exited":
                    continue
                self._check_running(ref, row)
                if row is None or row.state != "running":
                    running_since.pop(ref.id, None)
                elif row.health == "healthy" or (
                    not row.health and now - running_since.setdefault(ref.id, now) >= MIN_UPTIME
                ):
                    continue
                waiting.append(ref)
            if not waiting:
                return
            self._job.progress(f"{len(refs) - len(waiting)} of {len(refs)} run")
            self._check_time(waiting[0], "up")
            await asyncio.sleep(POLL_SECONDS)

    def _check_running(self, ref: Ref, row: Container | None) -> None:
        """Raises EngineError for a container that ended, failed its health check, or was restarted by its policy."""
        if row is None:
            raise errors.EngineError(
                f"{ref.name} was removed by somebody else.", hint="List the remaining containers with: ps"
            )
        look = f"Read the log of the container: logs {ref.name}"
        if row.state in ("exited", "dead"):
            code = "" if row.exit_code is None else f" with code {row.exit_code}"
            raise errors.EngineError(f"{ref.name} ended{code}.", hint=look)
        if (row.restarts or 0) > self._restarts.get(ref.id, 0):
            raise errors.EngineError(f"{ref.name} ended, and its restart policy started it again.", hint=look)
        if row.health == "unhealthy":
            raise errors.EngineError(f"{ref.name} failed its health check.", hint=look)

    def _check_time(self, ref: Ref, state: str) -> None:
        if self._left() <= 0:
            raise errors.EngineError(
                f"{ref.name} is not {state} yet, and the time limit of {self._action.timeout} s is over.",
                hint=f"Read the log of the container: logs {ref.name}. If it needs more time, give a longer --timeout.",
            )

    def _of(self, service: str) -> list[Container]:
        return [row for row in self._rows.values() if _service(row) == service]

    def _left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    def _done_before(self) -> str:
        return f"restarted {_names(self._restarted)}, then " if self._restarted else ""

    def _not_restarted(self) -> str:
        left = [row.ref for row in self._rows.values() if row.state in services.ACTIVE]
        left = [ref for ref in left if ref not in self._restarted]
        return f" Not restarted: {_names(left)}." if left else ""

    def _left_alone(self) -> str:
        idle = [row.ref for row in self._rows.values() if row.state not in services.ACTIVE]
        missing = {name for needed in self._graph.values() for name in needed if name not in self._graph}
        parts = [f"; left as they are, because they do not run: {_names(idle)}"] if idle else []
        if missing:  # their names are not for everybody
            some = "1 service was" if len(missing) == 1 else f"{len(missing)} services were"
            parts.append(f"; {some} not waited for: you may not list its containers, or it has none")
        return "".join(parts)

    def _outcome(self, status: Status, detail: str, rest: str = "") -> Outcome:
        """Returns the outcome. It names the containers that were killed, also if the job did not reach its end."""
        killed = stop_grace.were_killed(self._killed)
        if killed:
            detail = f"{detail} {killed}." if detail.endswith(".") else f"{detail}; {killed}"
        took = time.monotonic() - self._began
        return Outcome(status=status, detail=f"{detail}{rest}", took=took, killed=tuple(sorted(self._killed)))


def _service(row: Container) -> str:
    return row.labels.get(COMPOSE_SERVICE_LABEL, "")


def _names(refs: Sequence[Ref]) -> str:
    more = f" and {len(refs) - MAX_NAMES} more" if len(refs) > MAX_NAMES else ""
    return ", ".join(ref.name for ref in refs[:MAX_NAMES]) + more
