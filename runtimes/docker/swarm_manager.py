"""The part of Docker that is a way into its Swarm: whether the daemon manages one, and what is asked through it.

The Swarm itself is an engine of its own (runtimes.swarm), with one door for each of its managers.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

from core import errors
from core.model import swarm
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.options import EngineOptions
from runtimes.docker.client import EngineClient
from runtimes.swarm import decode, models
from runtimes.swarm.managers import Membership
from runtimes.transport import http_client

ANYWHERE = "0.0.0.0:2377"  # what docker itself listens on where nothing else is said


class SwarmManager(EngineClient, abc.ABC):
    """`tell` is called with its part in a Swarm whenever that was learned."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS, *, host: str = "") -> None:
        super().__init__(url, options, host=host)
        self.tell: Callable[[Membership], None] = lambda told: None

    async def meet(self, seconds: float) -> None:
        await self._identify(seconds)

    def permits(self, verb: str) -> bool:
        return self._allows(verb)

    async def ask(self, method: str, target: str, seconds: float, *, body: Any = None) -> http_client.Response:
        return await self._ask(method, target, seconds, body=body)

    async def membership(self, seconds: float) -> Membership:
        """Asked now: `/swarm` costs a daemon a millisecond, `/info` eight."""
        await self._identify(seconds)
        try:
            answer = await self._ask("GET", "/swarm", seconds)
        except errors.Rejected as error:
            if error.code == 503 or decode.NO_MANAGER in error.text:
                return Membership(manager=False)
            return Membership(manager=True)  # without a leader it cannot tell of which Swarm
        return Membership(manager=True, cluster=models.decode(models.CLUSTER, answer.body).id)

    async def local(self, seconds: float) -> models.Local:
        """What `/info` says of it now."""
        answer = await self._ask("GET", "/info", seconds)
        local = models.decode(models.INFO, answer.body).swarm
        self._heard_of_itself(local)
        return local

    def _heard_of_itself(self, local: models.Local) -> None:
        cluster = local.cluster.id if local.cluster is not None else ""
        self.tell(Membership(manager=local.manager, cluster=cluster if local.manager else ""))

    @does(swarm.InitSwarm)
    async def init_swarm(self, action: swarm.InitSwarm, seconds: float) -> Outcome:
        """Its first manager is this daemon; the Swarm is an engine from then on."""
        body = {"ListenAddr": action.listen or ANYWHERE, "AdvertiseAddr": action.address}
        try:
            await self._ask("POST", "/swarm/init", seconds, body=body)
        except errors.Rejected as error:
            if "already part of a swarm" in error.text:
                return Outcome(status=Status.NOOP, detail="is in a Swarm already")
            raise
        made = await self.membership(seconds)
        self.tell(made)
        return Outcome(status=Status.DONE, detail=f"Swarm {made.cluster}")
