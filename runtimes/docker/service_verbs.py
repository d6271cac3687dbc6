"""Lists a Docker daemon's services, and scales the services of Compose projects.

On a Swarm worker, this module also lists the Swarm services that have tasks on that node. On a Swarm manager, the
engine `swarm` lists and changes the services of the Swarm.
"""

from __future__ import annotations

import abc
import asyncio

from core import errors
from core.model import actions
from core.model.background_jobs import JobStarted
from core.model.services import Services
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.compose import scale, services
from runtimes.docker.compose_replicas import ComposeReplicas
from runtimes.docker.swarm_access import SwarmAccess
from runtimes.docker_like.containers import ContainerVerbs
from runtimes.swarm import decode


class ComposeServiceVerbs(SwarmAccess, ContainerVerbs, abc.ABC):
    """Serves the service verbs for Docker."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._replicas = ComposeReplicas(self._request, lambda: self._decoder, self.describe)

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        local, response = await asyncio.gather(
            self.local(seconds), self._request("GET", "/containers/json?all=1", seconds)
        )
        rows = await self._decoder.all_containers(response.body)
        found, missing = services.group_compose_services(self.ref, rows), ""
        found += self._replicas.emptied.missing_from(self.ref, rows)
        if local.manager:
            if not (local.cluster and local.cluster.id):
                # The daemon does not know which Swarm it belongs to, so there may be no engine that lists its services.
                missing = f"The services of its Swarm are unknown: {local.error.strip() or 'it has no leader'}"
        elif local.state == "active":
            found += services.worker_services(self.ref, rows)
        return Services(rows=tuple(found), missing=missing)

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> JobStarted:
        target, wanted, timeout = action.target, action.replicas, float(action.timeout)
        if not services.is_compose_service(target):
            raise decode.no_manager(self.ref, await self.local(seconds), target)
        # Scaling starts only if the owner of the host allows each of its steps.
        for step in (actions.Start, actions.Stop, actions.Remove):
            if not self._allows(step.verb):
                raise errors.Disallowed(step.verb, str(self.ref), action.verb)
        removable = action.removable()
        return self.jobs.start(
            action.verb,
            lambda job: scale.scale_service(self._replicas, target, wanted, timeout, job, removable=removable),
        )
