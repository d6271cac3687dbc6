"""Reports whether a Docker daemon manages a Swarm, and sends the Swarm's requests through this daemon.

The Swarm itself is a separate engine (`runtimes.swarm`), which sends its requests through its managers.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable
from typing import Any

from core import errors
from core.model import swarm
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.docker.client import EngineClient
from runtimes.docker_like.client import MIN_SECONDS
from runtimes.formats import json_decoder
from runtimes.swarm import json_models
from runtimes.swarm.json_models import SwarmManagerStatus
from runtimes.transport import http_client

DEFAULT_LISTEN_ADDRESS = "0.0.0.0:2377"  # as `docker swarm init` has it


class SwarmAccess(EngineClient, abc.ABC):
    """Reports whether the daemon manages a Swarm. `on_membership` is called each time the daemon has reported this."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self.on_membership: Callable[[SwarmManagerStatus], None] = lambda membership: None

    async def _ask_identity(self, seconds: float) -> None:
        await super()._ask_identity(seconds)
        self._report_membership(self._info.swarm)

    async def meet(self, seconds: float) -> None:
        await self._identify(seconds)

    def permits(self, verb: str) -> bool:
        return self._allows(verb)

    async def ask(
        self, method: str, target: str, seconds: float, *, body: Any = None, image: str = ""
    ) -> http_client.Response:
        ends = time.monotonic() + seconds
        login = (await self.logins.find(image)).login if image else None
        headers = {} if login is None else {"X-Registry-Auth": login.docker_header()}
        if login is not None and method != "GET":
            # The Swarm passes this login on to the nodes that pull the image.
            target = target.replace("&registryAuthFrom=spec", "")
        left = max(MIN_SECONDS, ends - time.monotonic())
        return await self._request(method, target, left, body=body, headers=headers)

    async def stream(self, target: str, seconds: float) -> http_client.Stream:
        """The response to a GET, as it arrives and whatever its status."""
        await self._identify(seconds)
        return await self._http.stream("GET", self._path(target), deadline=seconds, pause=True)

    async def membership(self, seconds: float) -> SwarmManagerStatus:
        """Asks the daemon now, by `/info`: outside a Swarm, a daemon writes two error lines into its log for each
        `/swarm`."""
        return _membership(await self.local(seconds))

    async def local(self, seconds: float) -> json_models.LocalSwarmInfo:
        """The part about the Swarm in `/info`, asked now."""
        response = await self._request("GET", "/info", seconds)
        local = json_decoder.decode_json(json_models.Info, response.body, self.skipped).swarm
        self._report_membership(local)
        return local

    def _report_membership(self, local: json_models.LocalSwarmInfo) -> None:
        self.on_membership(_membership(local))

    @does(swarm.InitSwarm)
    async def init_swarm(self, action: swarm.InitSwarm, seconds: float) -> Outcome:
        """Makes this daemon the first manager of a new Swarm, which is an engine from then on."""
        body = {"ListenAddr": action.listen or DEFAULT_LISTEN_ADDRESS, "AdvertiseAddr": action.address}
        try:
            await self._request("POST", "/swarm/init", seconds, body=body)
        except errors.Rejected as error:
            if "already part of a swarm" in error.text:
                return Outcome(status=Status.NOOP, detail="is in a Swarm already")
            raise
        try:
            made = await self.membership(seconds)
        except errors.EngineError as error:
            return Outcome(status=Status.DONE, detail=f"its id is not known yet: {error.message}")
        self.on_membership(made)
        return Outcome(status=Status.DONE, detail=f"Swarm {made.cluster}")


def _membership(local: json_models.LocalSwarmInfo) -> SwarmManagerStatus:
    """A manager without a leader does not know which Swarm it belongs to."""
    cluster = local.cluster.id if local.cluster is not None and local.manager else ""
    return SwarmManagerStatus(manager=local.manager, cluster=cluster)
