"""Inspects containers and changes their state, with the requests that Docker and Podman have in common."""

from __future__ import annotations

import abc
import asyncio
import time
import urllib.parse
from collections.abc import Sequence
from typing import ClassVar

from core import errors
from core.model import actions
from core.model.containers import Container
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.docker_like.client import HttpEngineClient, quoted_id
from runtimes.formats import json_decoder

MAX_CONCURRENT = 8  # inspections


class ContainerVerbs(HttpEngineClient, abc.ABC):
    """Serves the verbs that inspect and change containers."""

    stop_timeout: ClassVar[str]
    """The query parameter with the seconds until a container that does not stop is killed."""

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        target = action.target
        response = await self._request("GET", f"/containers/{quoted_id(target)}/json", seconds, name=target.name)
        return Document(ref=target, data=redact_json.mask_env_values(json_decoder.decode_json_object(response.body)))

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Inspects each container, a few at a time; None for one that is gone. `deadline`: seconds for all of them."""
        slots = asyncio.Semaphore(MAX_CONCURRENT)

        async def one(container_id: str) -> tuple[str, Container | None]:
            async with slots:
                target = f"/containers/{urllib.parse.quote(container_id, safe='')}/json"
                try:
                    response = await self._request("GET", target, deadline)
                except errors.NotFound:
                    return container_id, None
                return container_id, self._decode_container(response.body)

        async with asyncio.timeout(deadline):
            return dict(await asyncio.gather(*(one(container_id) for container_id in ids)))

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await self._change_container(action.target, "start", seconds, already="was already running")

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        path = f"stop?{self.stop_timeout}={action.timeout}"
        return await self._change_container(action.target, path, seconds, already="was not running")

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        return await self._change_container(action.target, f"restart?t={action.timeout}", seconds)

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        return await self._change_container(action.target, f"kill?signal={urllib.parse.quote(action.signal)}", seconds)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        return await self._change_container(action.target, "pause", seconds, already="was already paused")

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await self._change_container(action.target, "unpause", seconds, already="was not paused")

    async def _change_container(self, target: Ref, path: str, seconds: float, *, already: str = "") -> Outcome:
        began = time.monotonic()
        try:
            return await self._change(target, f"/containers/{quoted_id(target)}/{path}", seconds, already=already)
        except errors.Rejected as error:
            # Some refusals only report that there was nothing to do: "… is already paused", "… is not paused, can't …".
            if already and already.removeprefix("was ") in error.text:
                return Outcome(status=Status.NOOP, detail=already, took=time.monotonic() - began)
            raise
