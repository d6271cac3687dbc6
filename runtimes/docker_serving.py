"""The half of Docker that knows more than containers: the services of compose projects, and its part in a Swarm.

The Swarm itself is an engine of its own (runtimes.swarm) that asks through its managers; here a daemon only tells
whether it is one, lets that engine ask, and tells of the tasks that run on it where it is a worker.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from core import errors
from core.model import actions, clusters
from core.model.jobs import Started
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.things import Container, Outcome, Services
from runtimes import docker_dialect, docker_services, engine_http, recipes, services, swarm_dialect, swarm_wire
from runtimes.adapter import does
from runtimes.jobs import Working
from runtimes.swarm_doors import Membership


class Serving(Working, abc.ABC):
    """`tell` is called with its part in a Swarm whenever that was learned."""

    def __init__(self, ref: EngineRef, *, allow: Sequence[str] = ()) -> None:
        super().__init__(ref, allow=allow)
        self.tell: Callable[[Membership], None] = lambda told: None
        self._steps = docker_services.Steps(self._ask, self._words, self.describe)

    @abc.abstractmethod
    def _words(self) -> docker_dialect.Dialect: ...

    @abc.abstractmethod
    async def _ask(
        self, method: str, target: str, seconds: float, *, about: str = "", body: Any = None
    ) -> engine_http.Response: ...

    @abc.abstractmethod
    async def _meet(self, seconds: float, *, again: bool = False) -> None: ...

    @abc.abstractmethod
    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]: ...

    # ── as a door to its Swarm ───────────────────────────────────────────────────────────────────────────────────

    def permits(self, verb: str) -> bool:
        return self._allows(verb)

    async def ask(
        self, method: str, target: str, seconds: float, *, about: str = "", body: Any = None
    ) -> engine_http.Response:
        return await self._ask(method, target, seconds, about=about, body=body)

    async def membership(self, seconds: float) -> Membership:
        """Asked now. `/swarm` costs a daemon a millisecond, `/info` eight."""
        await self._meet(seconds)
        try:
            answer = await self._ask("GET", "/swarm", seconds)
        except errors.Rejected as error:
            if error.code == 503 or swarm_dialect.NO_MANAGER in error.text:
                return Membership(manager=False)
            return Membership(manager=True)  # without a leader it cannot tell of which Swarm
        return Membership(manager=True, cluster=swarm_wire.decode(swarm_wire.CLUSTER, answer.body).id)

    def _heard_of_itself(self, local: swarm_wire.Local) -> None:
        """Of what `/info` says."""
        cluster = local.cluster.id if local.cluster is not None else ""
        self.tell(Membership(manager=local.manager, cluster=cluster if local.manager else ""))

    @does(clusters.InitSwarm)
    async def init_swarm(self, action: clusters.InitSwarm, seconds: float) -> Outcome:
        """Its first manager is this daemon, whose Swarm is an engine from then on."""
        body = {"ListenAddr": action.listen or "0.0.0.0:2377", "AdvertiseAddr": action.address}
        try:
            await self._ask("POST", "/swarm/init", seconds, body=body)
        except errors.Rejected as error:
            if "already part of a swarm" in error.text:
                return Outcome(status=Status.NOOP, detail="is in a Swarm already")
            raise
        made = await self.membership(seconds)
        self.tell(made)
        return Outcome(status=Status.DONE, detail=f"Swarm {made.cluster}")

    # ── services ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        local, answer = await asyncio.gather(self._local(seconds), self._ask("GET", "/containers/json?all=1", seconds))
        rows = self._words().listed(answer.body)
        found = services.of_compose(self.ref, rows)
        if local.state == "active" and not local.manager:
            found += services.of_worker(self.ref, rows)
        missing = ""
        if local.manager and not (local.cluster and local.cluster.id):
            # Its engine cannot be told yet, or says the same.
            missing = f"The services of its Swarm cannot be told: {local.error.strip() or 'it has no leader'}"
        return Services(rows=tuple(found), missing=missing)

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> Started:
        target, wanted, timeout = action.target, action.replicas, float(action.timeout)
        if not services.is_compose(target):
            raise swarm_dialect.no_manager(self.ref, await self._local(seconds), target)
        # The host's owner allows each of its steps, or it is not begun.
        for step in (actions.Start, actions.Stop, actions.Remove):
            if not self._allows(step.verb):
                raise errors.Disallowed(step.verb, str(self.ref))
        return self.jobs.begin(action.verb, lambda job: recipes.scale(self._steps, target, wanted, timeout, job))

    async def _local(self, seconds: float) -> swarm_wire.Local:
        answer = await self._ask("GET", "/info", seconds)
        local = swarm_wire.decode(swarm_wire.INFO, answer.body).swarm
        self._heard_of_itself(local)
        return local
