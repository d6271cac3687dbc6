"""The half of Docker that knows services: those of compose projects, and a worker's part of its Swarm's."""

from __future__ import annotations

import abc
import asyncio

from core import errors
from core.model import actions
from core.model.jobs import JobStarted
from core.model.services import Services
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.options import EngineOptions
from runtimes.compose import scale, services
from runtimes.docker import compose_steps
from runtimes.docker.swarm_manager import SwarmManager
from runtimes.swarm import decode


class ServiceVerbs(SwarmManager, abc.ABC):
    def __init__(self, url: str, options: EngineOptions = DEFAULTS, *, host: str = "") -> None:
        super().__init__(url, options, host=host)
        self._steps = compose_steps.Steps(self._ask, self._words, self.describe)

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        local, answer = await asyncio.gather(self.local(seconds), self._ask("GET", "/containers/json?all=1", seconds))
        rows = self._words().listed(answer.body)
        found, missing = services.compose_services(self.ref, rows), ""
        if local.manager:
            if not (local.cluster and local.cluster.id):
                # Which Swarm it is cannot be told, so there may be no engine that tells of it.
                missing = f"The services of its Swarm cannot be told: {local.error.strip() or 'it has no leader'}"
        elif local.state == "active":
            found += services.worker_services(self.ref, rows)
        return Services(rows=tuple(found), missing=missing)

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> JobStarted:
        target, wanted, timeout = action.target, action.replicas, float(action.timeout)
        if not services.is_compose_service(target):
            raise decode.no_manager(self.ref, await self.local(seconds), target)
        # The host's owner allows each of its steps, or it is not begun.
        for step in (actions.Start, actions.Stop, actions.Remove):
            if not self._allows(step.verb):
                raise errors.Disallowed(step.verb, str(self.ref))
        return self.jobs.begin(action.verb, lambda job: scale.scale_service(self._steps, target, wanted, timeout, job))
