"""How the Swarm in memory creates, changes and removes services: at once, and as it was asked to. `changed` keeps the
actions in their order; a service whose image is nowhere is there, and none of its tasks runs."""

from __future__ import annotations

import msgspec

from core import errors
from core.model import host_access, image_names, swarm
from core.model.actions import Action
from core.model.background_jobs import JobStarted
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from core.model.service_actions import CreateService, RemoveService, RollBackService, UpdateService
from core.model.services import Service
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from tests.fake_engine.core import contents
from tests.fake_engine.images import Images

TOKEN = "SWMTKN-1-5g90q48weqrtqryq4kj6ow0e8xm9wmv9o6vgqc5j320ymybd5c-8ex8j0bc40s6hgvy5ui5gl4gy"


class ServiceChanges(Images):
    """`earlier`: the services before their last update, by id."""

    changed: list[Action[object]]
    earlier: dict[str, Service]

    @does(CreateService)
    async def create_service(self, action: CreateService, seconds: float) -> JobStarted:
        await self._answer("change", seconds)

        async def work(job: Job) -> Outcome:
            if any(row.ref.name == action.name for row in self.swarm):
                raise errors.Rejected(
                    409, f"rpc error: code = AlreadyExists desc = service {action.name} already exists"
                )
            self._keep(action)
            self._made += 1
            name = action.name or f"made_{self._made}"
            ref = Ref(engine=self.ref, kind=Kind.SERVICE, id=f"service{self._made:018d}", name=name)
            wanted = 1 if action.replicas is None else action.replicas
            there = self.remote.get(action.image, contents(action.image)) is not None
            self.swarm.append(
                Service(
                    ref=ref,
                    mode=action.mode,
                    image=action.image,
                    running=wanted if there else 0,
                    desired=wanted,
                    labels=(dict(action.settings.labels),),
                    service=name,
                    reaches=host_access.reaches_of(action.settings.host_access()),
                )
            )
            if not there:
                return Outcome(status=Status.FAILED, detail=f"0 of {wanted} run it; {name}.1 rejected: No such image")
            return Outcome(status=Status.DONE, detail=f"{wanted} of {wanted} run it")

        return self.jobs.start(action.verb, work)

    @does(UpdateService)
    async def update_service(self, action: UpdateService, seconds: float) -> JobStarted:
        await self._answer("change", seconds)

        async def work(job: Job) -> Outcome:
            at, row = self._service(action.target)
            self._keep(action)
            self.earlier = {**getattr(self, "earlier", {}), row.ref.id: row}
            image = image_names.with_default_tag(action.settings.image) if action.settings.image else row.image
            number = row.desired if action.replicas is None else action.replicas
            added = host_access.reaches_of(action.settings.host_access())
            reaches = tuple(dict.fromkeys([*row.reaches, *added]))
            self.swarm[at] = msgspec.structs.replace(
                row, image=image, desired=number, running=number or 0, reaches=reaches, earlier_reaches=row.reaches
            )
            return Outcome(status=Status.DONE, detail=f"from {row.image} to {image}; {number} of {number} run it")

        return self.jobs.start(action.verb, work)

    @does(RollBackService)
    async def roll_back(self, action: RollBackService, seconds: float) -> JobStarted:
        await self._answer("change", seconds)

        async def work(job: Job) -> Outcome:
            at, row = self._service(action.target)
            self._keep(action)
            self.swarm[at] = getattr(self, "earlier", {}).get(row.ref.id, row)
            return Outcome(status=Status.DONE, detail=f"back to {self.swarm[at].image}; 1 of 1 run it")

        return self.jobs.start(action.verb, work)

    @does(RemoveService)
    async def remove_service(self, action: RemoveService, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        at, _ = self._service(action.target)
        self._keep(action)
        del self.swarm[at]
        return Outcome(status=Status.DONE)

    @does(swarm.InitSwarm)
    async def init_swarm(self, action: swarm.InitSwarm, seconds: float) -> Outcome:
        await self._answer("init", seconds)
        self._keep(action)
        return Outcome(status=Status.DONE, detail="Swarm c1")

    @does(swarm.ReadJoinToken)
    async def read_join_token(self, action: swarm.ReadJoinToken, seconds: float) -> swarm.Token:
        await self._answer("token", seconds)
        return swarm.Token(role=action.role, line=f"docker swarm join --token {TOKEN} 10.0.0.1:2377")

    @does(swarm.RotateJoinToken)
    async def rotate_join_token(self, action: swarm.RotateJoinToken, seconds: float) -> Outcome:
        await self._answer("rotate", seconds)
        self._keep(action)
        return Outcome(status=Status.DONE, detail=f"show the new one with: swarm join-token {action.role}")

    def _keep(self, action: Action[object]) -> None:
        self.changed = [*getattr(self, "changed", ()), action]

    def _service(self, target: Ref) -> tuple[int, Service]:
        for at, row in enumerate(self.swarm):
            if row.ref.id == target.id:
                return at, row
        raise errors.NotFound(f"The Swarm has no service {target.name}.", hint="List the services with: services")
