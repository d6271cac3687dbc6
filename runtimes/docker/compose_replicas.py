"""Lists, creates, starts, stops and removes the containers of one Compose service.

The verb `compose.scale` uses these operations as its steps.
"""

from __future__ import annotations

import contextlib
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from core import errors
from core.model.actions import MAX_STOP_SECONDS
from core.model.containers import Container
from core.model.refs import Kind, Ref
from runtimes.base import stop_grace
from runtimes.compose import scaled_to_zero, services
from runtimes.docker import decode, replica_create_body
from runtimes.docker_like import json_models
from runtimes.docker_like.client import quoted_id
from runtimes.docker_like.images import quoted_name
from runtimes.formats import json_decoder
from runtimes.transport import http_client

CLEANUP_SECONDS = 5.0  # to remove a container that was created, but cannot be used


class ComposeReplicas:
    """Creates and removes the replicas of one compose service, copied from an existing container."""

    def __init__(
        self,
        request: Request,
        decoder: Callable[[], decode.Decoder],
        describe: Callable[[Sequence[str], float], Awaitable[dict[str, Container | None]]],
    ) -> None:
        self._request, self._decoder, self._describe = request, decoder, describe
        self.emptied = scaled_to_zero.ScaledToZeroServices()

    async def replicas(self, project: str, service: str, seconds: float) -> Sequence[Container]:
        labels = [f"{services.PROJECT}={project}", f"{services.SERVICE}={service}"]
        filters = urllib.parse.quote(msgspec.json.encode({"label": labels}).decode())
        response = await self._request("GET", f"/containers/json?all=1&filters={filters}", seconds)
        return [row for row in await self._decoder().all_containers(response.body) if not row.one_off]

    async def template(self, replicas: Sequence[Container], seconds: float) -> _ReplicaTemplate:
        """Uses the newest container whose name follows Compose's pattern. Raises UserError."""
        chosen, inspection = await self._newest(replicas, seconds)
        return await self._template_of(chosen, inspection, seconds, several=True)

    async def remember(self, replicas: Sequence[Container], seconds: float) -> bool:
        try:
            chosen, inspection = await self._newest(replicas, seconds)
        except errors.QuarterdeckError:
            return False
        self.emptied.remember(chosen, inspection)
        return True

    async def remembered(self, project: str, service: str, number: int, seconds: float) -> _ReplicaTemplate | None:
        entry = self.emptied.find(project, service)
        if entry is None:
            return None
        template = await self._template_of(entry.row, entry.inspection, seconds, several=number > 1)
        template.on_created = lambda: self.emptied.forget(project, service)
        return template

    async def _newest(self, replicas: Sequence[Container], seconds: float) -> tuple[Container, dict[str, Any]]:
        newest = sorted(replicas, key=lambda row: -row.created_at)
        chosen = next(
            (row for row in newest if replica_create_body.name_separator(row.ref.name, row.labels)), newest[0]
        )
        path = f"/containers/{quoted_id(chosen.ref)}/json"
        response = await self._request("GET", path, seconds, name=chosen.ref.name)
        return chosen, json_decoder.decode_json_object(response.body)

    async def _template_of(
        self, chosen: Container, inspection: dict[str, Any], seconds: float, *, several: bool
    ) -> _ReplicaTemplate:
        """`several`: there will be more than one container like this one. Raises UserError."""
        with json_decoder.reading(f"The inspection of {chosen.ref.name}"):
            if several:
                replica_create_body.check_can_replicate(chosen.ref.name, inspection)
            # Builds one request, to find out now whether the inspection has the form that is needed.
            replica_create_body.build_replica_create_body(inspection, chosen.ref.name, 1, "")
            image = await self._image(inspection, seconds)
        return _ReplicaTemplate(self._request, chosen, inspection, image)

    async def start(self, container: Ref, seconds: float) -> None:
        await self._request("POST", f"/containers/{quoted_id(container)}/start", seconds, name=container.name)

    async def stop(self, container: Ref, seconds: float) -> bool:
        """Stops a container with its own stop signal and grace, and waits as long as that grace, even if it is longer
        than `seconds`. Returns whether the container used up its grace and was killed, as its exit code shows."""
        path = f"/containers/{quoted_id(container)}"
        try:
            response = await self._request("GET", f"{path}/json", seconds, name=container.name)
        except errors.NotFound:
            return False  # somebody else has removed it
        inspected = json_decoder.decode_json(json_models.Inspection, response.body)
        grace = stop_grace.grace_seconds(None, inspected.config.stop_timeout)
        allowed = max(seconds, stop_grace.patience(grace, MAX_STOP_SECONDS))
        began = time.monotonic()
        with contextlib.suppress(errors.NotFound):
            await self._request("POST", f"{path}/stop", allowed, name=container.name)
        if time.monotonic() - began < grace:
            return False
        try:
            response = await self._request("GET", f"{path}/json", seconds, name=container.name)
            ended = json_decoder.decode_json(json_models.Inspection, response.body).state
        except errors.QuarterdeckError:
            return False
        return ended.exit_code == stop_grace.SIGKILL_CODE

    async def remove(self, container: Ref, seconds: float) -> None:
        """Removes a container. It is no error if somebody else does that at the same time."""
        try:
            await self._request("DELETE", f"/containers/{quoted_id(container)}", seconds, name=container.name)
        except errors.NotFound:
            return
        except errors.Rejected as error:
            if "is already in progress" not in error.text:
                raise

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        found = await self._describe(ids, deadline)
        if missing := [container_id[:12] for container_id in ids if container_id not in found]:
            raise errors.InvalidResponse(
                f"The engine's answer about the containers {', '.join(missing)} could not be decoded.",
                hint="Quarterdeck's log names what could not be decoded. Check that Quarterdeck supports this version"
                " of the engine.",
            )
        return found

    async def _image(self, inspection: dict[str, Any], seconds: float) -> str:
        """The image's name if it still means the same image, else its id: all replicas use the same image."""
        name, image_id = str(inspection["Config"]["Image"]), str(inspection["Image"])
        try:
            response = await self._request("GET", f"/images/{quoted_name(name)}/json", seconds)
        except (errors.NotFound, errors.Rejected):
            return image_id
        return name if json_decoder.decode_json_object(response.body).get("Id") == image_id else image_id


class Request(Protocol):
    """One exchange with the daemon. Raises NotFound, Rejected and the other EngineErrors."""

    def __call__(
        self, method: str, target: str, seconds: float, *, name: str = "", body: Any = None
    ) -> Awaitable[http_client.Response]: ...


class _ReplicaTemplate:
    """Creates more containers like `container`."""

    def __init__(self, request: Request, container: Container, inspection: dict[str, Any], image: str) -> None:
        self._request, self._container, self._inspection, self._image = request, container, inspection, image
        self._separator = replica_create_body.name_separator(container.ref.name, container.labels)
        self.on_created: Callable[[], None] = lambda: None

    def name(self, number: int) -> str:
        labels = self._container.labels
        if not self._separator:
            return self._container.ref.name  # set in the Compose file
        return self._separator.join((labels[services.PROJECT], labels[services.SERVICE], str(number)))

    async def create(self, number: int, seconds: float) -> Ref:
        name = self.name(number)
        body, more_networks = replica_create_body.build_replica_create_body(self._inspection, name, number, self._image)
        path = f"/containers/create?name={urllib.parse.quote(name)}"
        response = await self._request("POST", path, seconds, body=body)
        with json_decoder.reading("The answer about the new container"):
            container_id = str(json_decoder.decode_json_object(response.body)["Id"])
        created = Ref(engine=self._container.ref.engine, kind=Kind.CONTAINER, id=container_id, name=name)
        self.on_created()
        for network, endpoint in more_networks.items():
            try:
                path = f"/networks/{urllib.parse.quote(network, safe='')}/connect"
                await self._request("POST", path, seconds, body={"Container": created.id, "EndpointConfig": endpoint})
            except errors.QuarterdeckError as error:
                await self._remove_unused(created, network, error)
                raise
        return created

    async def _remove_unused(self, created: Ref, network: str, cause: errors.QuarterdeckError) -> None:
        """Removes a container that has never run: without all its networks, it must not count as a replica."""
        try:
            await self._request("DELETE", f"/containers/{created.id}?force=1&v=1", CLEANUP_SECONDS)
        except errors.QuarterdeckError:
            raise errors.EngineError(
                f"{created.name} was created, but not connected to its network {network} ({cause.message.rstrip('.')}),"
                " and could not be removed again.",
                hint=f"Remove the container: rm {created.name}",
            ) from cause
