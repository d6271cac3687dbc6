"""Reads and updates one Swarm service: the requests that a rollout consists of.

A request to update contains the version of the service that it is based on. If somebody else has changed the service
since then, the Swarm rejects the request, and it is sent once more for the new version.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from core import errors
from core.model.refs import Ref
from runtimes.formats import json_decoder
from runtimes.swarm import decode, json_models
from runtimes.swarm.json_models import Task
from runtimes.transport import http_client

OUT_OF_SEQUENCE = "out of sequence"
STEADY_SECONDS = 3.0  # all tasks must run for so long
TIMEOUT_SECONDS = 10.0  # of one request
DIGEST_TIMEOUT_SECONDS = 8.0


class ServiceRequests:
    """Reads and updates one service, and measures how long it has been steady."""

    def __init__(self, send: SendRequest, target: Ref) -> None:
        self._send, self.target = send, target
        self._id = urllib.parse.quote(target.id, safe="")
        self._steady_since = 0.0

    async def update(
        self, change: Callable[[dict[str, Any]], dict[str, Any] | None], options: str = "", *, image: str = ""
    ) -> bool:
        """Sends the specification that `change` returns for the service. Returns False if `change` returns None.
        `image`: the login of its registry replaces the one that the Swarm stores for the service, if there is one."""
        options = options or "&registryAuthFrom=spec"
        for attempt in (1, 2):
            raw = await self.inspect()
            with json_decoder.reading(f"The service {self.target.name}"):
                spec = change(raw)
                path = f"/services/{self._id}/update?version={int(raw['Version']['Index'])}{options}"
            if spec is None:
                return False
            try:
                await self._request("POST", path, body=spec, image=image)
            except errors.Rejected as error:
                if OUT_OF_SEQUENCE not in error.text or attempt == 2:
                    raise
                continue
            return True
        raise AssertionError("the second attempt returns or raises")

    async def inspect(self) -> dict[str, Any]:
        return json_decoder.decode_json_object(await self._request("GET", f"/services/{self._id}"))

    async def tasks(self) -> Sequence[Task]:
        filters = urllib.parse.quote(msgspec.json.encode({"service": [self.target.id]}).decode())
        body = await self._request("GET", f"/tasks?filters={filters}")
        return await json_decoder.decode_all_rows(json_models.Task, body)

    async def update_state(self) -> str:
        state = decode.update(await self.inspect())
        return f"; {state}" if state else ""

    async def image(self) -> str:
        try:
            raw = await self.inspect()
            with json_decoder.reading(f"The service {self.target.name}"):
                container = (raw["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}
                return str(container.get("Image") or "").partition("@")[0]
        except errors.QuarterdeckError:
            return ""

    async def pinned(self, image: str) -> tuple[str, str]:
        """Returns the image with its digest. If the registry does not answer: the image unchanged, and a note for the
        requester."""
        if "@" in image:
            return image, ""
        try:
            answer = await self._send(
                "GET",
                f"/distribution/{urllib.parse.quote(image, safe='/:')}/json",
                DIGEST_TIMEOUT_SECONDS,
                image=image,
            )
            found = json_decoder.decode_json(json_models.Distribution, answer.body)
            return f"{image}@{found.descriptor.digest}", ""
        except errors.QuarterdeckError:
            return image, "; its registry did not return a digest, so nodes may run different versions of it"

    def steady(self) -> bool:
        """Whether the service has been as requested for long enough."""
        self._steady_since = self._steady_since or time.monotonic()
        return time.monotonic() - self._steady_since >= STEADY_SECONDS

    def unsteady(self) -> None:
        self._steady_since = 0.0

    async def _request(self, method: str, path: str, body: Any = None, image: str = "") -> bytes:
        try:
            return (await self._send(method, path, TIMEOUT_SECONDS, body=body, image=image)).body
        except errors.NotFound:
            raise errors.NotFound(
                f"The Swarm has no service {self.target.name}.", hint="List the services with: services"
            ) from None


class SendRequest(Protocol):
    """Sends one request to the Swarm. Raises NotFound, Rejected and the other EngineErrors."""

    def __call__(
        self, method: str, target: str, seconds: float, *, body: Any = None, image: str = ""
    ) -> Awaitable[http_client.Response]: ...
