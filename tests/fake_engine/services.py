"""How an engine in memory scales: the same recipe as the real ones, over containers that are made by saying so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from core import errors
from core.model import actions, containers
from core.model.containers import Container
from core.model.events import EventKind
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.compose import scale, services

if TYPE_CHECKING:
    from tests.fake_engine.core import FakeEngine


def scaling(engine: FakeEngine, action: actions.Scale) -> Callable[[Job], Awaitable[Outcome]]:
    if services.is_compose_service(action.target):
        return lambda job: scale.scale_service(
            Steps(engine), action.target, action.replicas, float(action.timeout), job, removable=action.removable()
        )

    async def in_swarm(_: Job) -> Outcome:
        at = next((at for at, row in enumerate(engine.swarm) if row.ref == action.target), None)
        if at is None:
            raise errors.NotFound(
                f"The Swarm has no service {action.target.name}.", hint="List the services with: services"
            )
        row = engine.swarm[at]
        if row.mode != "replicated":
            raise errors.UserError(f"{row.ref.name} is a {row.mode} service and has no number of replicas to scale.")
        engine.swarm[at] = msgspec.structs.replace(row, running=action.replicas, desired=action.replicas)
        if row.desired == action.replicas:
            return Outcome(status=Status.NOOP, detail=f"has {action.replicas} already")
        return Outcome(status=Status.DONE, detail=f"from {row.desired} to {action.replicas}")

    return in_swarm


class Steps:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def replicas(self, project: str, service: str, seconds: float) -> Sequence[Container]:
        want = {services.PROJECT: project, services.SERVICE: service}
        return [row for row in self._engine.containers.values() if want.items() <= row.labels.items()]

    async def template(self, replicas: Sequence[Container], seconds: float) -> _ReplicaTemplate:
        return _ReplicaTemplate(self._engine, replicas[0])

    async def remember(self, replicas: Sequence[Container], seconds: float) -> bool:
        return False

    async def remembered(self, project: str, service: str, number: int, seconds: float) -> None:
        return None

    async def start(self, thing: Ref, seconds: float) -> None:
        self._engine.happen(EventKind.STARTED, thing)

    async def stop(self, thing: Ref, seconds: float) -> bool:
        for kind in (EventKind.KILLED, EventKind.DIED, EventKind.STOPPED):
            self._engine.happen(kind, thing, **({"exit_code": "143"} if kind is EventKind.DIED else {}))
        return False

    async def remove(self, thing: Ref, seconds: float) -> None:
        if self._engine.containers[thing.id].state in containers.LIVE_STATES:
            raise errors.Rejected(409, f"container {thing.name} is running: stop it first or force its removal")
        self._engine.happen(EventKind.REMOVED, thing)

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        return await self._engine.describe(ids, deadline)


class _ReplicaTemplate:
    def __init__(self, engine: FakeEngine, first: Container) -> None:
        self._engine, self._first = engine, first

    def name(self, number: int) -> str:
        labels = self._first.labels
        return f"{labels[services.PROJECT]}-{labels[services.SERVICE]}-{number}"

    async def create(self, number: int, seconds: float) -> Ref:
        labels = self._first.labels | {services.NUMBER: str(number)}
        return self._engine.add(self.name(number), image=self._first.image, labels=labels, start=False)
