"""What the engine in memory does to create a container: it pulls the image if it is missing, and makes it."""

from __future__ import annotations

from typing import Any

import msgspec

from core import errors
from core.model import image_names
from core.model.background_jobs import JobStarted
from core.model.create_container import CreateContainer
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from tests.fake_engine.core import contents
from tests.fake_engine.images import Images


class Creation(Images):
    """`created`: the requests, in their order."""

    created: list[CreateContainer]
    _pods: dict[str, Any]

    @does(CreateContainer)
    async def create_container(self, action: CreateContainer, seconds: float) -> JobStarted:
        await self._answer("change", seconds)
        name = image_names.with_default_tag(action.image)

        async def work(job: Job) -> Outcome:
            if self.remote.get(name, contents(name)) is None and name not in self.tags:
                raise errors.Rejected(404, f"manifest for {name} not found: manifest unknown")
            if any(row.ref.name == action.name for row in self.containers.values()):
                raise errors.Rejected(409, f"the name {action.name} is already in use")
            job.progress("creating the container")
            self.created = [*getattr(self, "created", ()), action]
            ref = self.add(
                action.name or f"made_{len(self.containers)}",
                image=name,
                labels=dict(action.labels),
                start=action.start,
            )
            if (pod := action.access.pod) is not None:
                row = self._pods[pod.id]
                self._pods[pod.id] = msgspec.structs.replace(row, members=(*row.members, ref.id))
            return Outcome(status=Status.DONE, detail=ref.id[:12])

        return self.jobs.start(action.verb, work)
