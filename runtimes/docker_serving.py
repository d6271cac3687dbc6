"""The half of Docker that knows services: those of compose projects, and of the Swarm whose manager a daemon is."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Sequence

from core import errors
from core.model import actions
from core.model.jobs import Started
from core.model.refs import EngineRef
from core.model.things import Services
from runtimes import docker_services, recipes, services, swarm
from runtimes.adapter import does
from runtimes.docker_asking import Asking


class Serving(Asking, abc.ABC):
    def __init__(self, ref: EngineRef, *, allow: Sequence[str] = ()) -> None:
        super().__init__(ref, allow=allow)
        self._steps = docker_services.Steps(self._ask, self._words, self.describe)
        self._swarm = swarm.Swarm(self._ask, lambda: self.ref)

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        node, answer = await asyncio.gather(
            self._swarm.node(seconds), self._ask("GET", "/containers/json?all=1", seconds)
        )
        rows = self._words().listed(answer.body)
        found, missing = services.of_compose(self.ref, rows), ""
        if node.manager:
            try:
                # A Swarm without a leader may hang; what compose runs is told all the same.
                found += await self._swarm.services(seconds / 2)
            except errors.EngineError as error:
                missing = f"The services of its Swarm could not be asked for: {error.say()}"
        elif node.state == "active":
            found += services.of_worker(self.ref, rows)
        return Services(rows=tuple(found), missing=missing)

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> Started:
        target, wanted, timeout = action.target, action.replicas, float(action.timeout)
        if services.is_compose(target):
            # The host's owner allows each of its steps, or it is not begun.
            for step in (actions.Start, actions.Stop, actions.Remove):
                if not self._allows(step.verb):
                    raise errors.Disallowed(step.verb, str(self.ref))
            return self.jobs.begin(action.verb, lambda job: recipes.scale(self._steps, target, wanted, timeout, job))
        return self.jobs.begin(action.verb, lambda job: self._swarm.scale(target, wanted, timeout, job))
