"""Lists, inspects, creates and removes networks and volumes, and connects containers to networks, with the requests
that Docker and Podman have in common."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from core import errors, secret_search_threads
from core.model import networks_and_volumes
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.docker_like import inspect_summaries
from runtimes.docker_like.client import HttpEngineClient, quoted_id
from runtimes.formats import json_decoder


class _Made(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    other_id: str = msgspec.field(name="id", default="")


class NetworkVolumeVerbs(HttpEngineClient, abc.ABC):
    """Serves the network and volume verbs."""

    path_suffix: ClassVar[str]
    """What follows in a path to a list or to an inspection; empty for Docker."""

    @does(networks_and_volumes.ListNetworks)
    async def list_networks(
        self, action: networks_and_volumes.ListNetworks, seconds: float
    ) -> networks_and_volumes.Networks:
        response = await self._request("GET", f"/networks{self.path_suffix}", seconds)
        return networks_and_volumes.Networks(rows=self._decode_networks(response.body))

    @abc.abstractmethod
    def _decode_networks(self, body: bytes) -> tuple[networks_and_volumes.Network, ...]: ...

    @does(networks_and_volumes.InspectNetwork)
    async def inspect_network(self, action: networks_and_volumes.InspectNetwork, seconds: float) -> Document:
        return await self._inspect("network", action.target, seconds)

    @does(networks_and_volumes.RemoveNetwork)
    async def remove_network(self, action: networks_and_volumes.RemoveNetwork, seconds: float) -> Outcome:
        return await self._remove("network", action.target, seconds)

    @does(networks_and_volumes.ListVolumes)
    async def list_volumes(
        self, action: networks_and_volumes.ListVolumes, seconds: float
    ) -> networks_and_volumes.Volumes:
        response = await self._request("GET", f"/volumes{self.path_suffix}", seconds)
        return networks_and_volumes.Volumes(rows=self._decode_volumes(response.body))

    @abc.abstractmethod
    def _decode_volumes(self, body: bytes) -> tuple[networks_and_volumes.Volume, ...]: ...

    @does(networks_and_volumes.InspectVolume)
    async def inspect_volume(self, action: networks_and_volumes.InspectVolume, seconds: float) -> Document:
        return await self._inspect("volume", action.target, seconds)

    @does(networks_and_volumes.RemoveVolume)
    async def remove_volume(self, action: networks_and_volumes.RemoveVolume, seconds: float) -> Outcome:
        return await self._remove("volume", action.target, seconds)

    @does(networks_and_volumes.CreateNetwork)
    async def create_network(self, action: networks_and_volumes.CreateNetwork, seconds: float) -> Outcome:
        body = await asyncio.to_thread(self._network_body, action)
        return await self._create_resource("/networks/create", body, action.name, seconds)

    @does(networks_and_volumes.CreateVolume)
    async def create_volume(self, action: networks_and_volumes.CreateVolume, seconds: float) -> Outcome:
        # Engines return a volume of that name as if they had created it.
        path = f"/volumes/{urllib.parse.quote(action.name, safe='')}{self.path_suffix}"
        with contextlib.suppress(errors.NotFound):
            await self._request("GET", path, seconds, name=action.name, kind="volume")
            return Outcome(status=Status.NOOP, detail="exists already")
        body = {"Name": action.name, "Driver": "local", "Labels": dict(action.labels)}
        return await self._create_resource("/volumes/create", body, action.name, seconds)

    @does(networks_and_volumes.ConnectNetwork)
    async def connect_network(self, action: networks_and_volumes.ConnectNetwork, seconds: float) -> Outcome:
        return await self._join(action, "connect", self._endpoint_body(action), seconds)

    @does(networks_and_volumes.DisconnectNetwork)
    async def disconnect_network(self, action: networks_and_volumes.DisconnectNetwork, seconds: float) -> Outcome:
        return await self._join(action, "disconnect", {"Container": action.target.id}, seconds)

    async def _join(
        self,
        action: networks_and_volumes.ConnectNetwork | networks_and_volumes.DisconnectNetwork,
        verb: str,
        body: Mapping[str, Any],
        seconds: float,
    ) -> Outcome:
        began = time.monotonic()
        path = f"/networks/{quoted_id(action.network)}/{verb}"
        response = await self._request("POST", path, seconds, name=action.network.name, kind="network", body=body)
        self._check_change(response.body)
        return Outcome(status=Status.DONE, took=time.monotonic() - began)

    async def _create_resource(self, path: str, body: Mapping[str, Any], name: str, seconds: float) -> Outcome:
        began = time.monotonic()
        response = await self._request("POST", path, seconds, body=body)
        made = json_decoder.decode_json(_Made, response.body)
        detail = (made.id or made.other_id)[:12]
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    @abc.abstractmethod
    def _network_body(self, action: networks_and_volumes.CreateNetwork) -> Mapping[str, Any]:
        """Builds the body of the request that creates a network. Raises BadUsage."""

    @abc.abstractmethod
    def _endpoint_body(self, action: networks_and_volumes.ConnectNetwork) -> Mapping[str, Any]:
        """Builds the body of the request that connects a container."""

    async def _inspect(self, kind: str, target: Ref, seconds: float) -> Document:
        path = f"/{kind}s/{quoted_id(target)}{self.path_suffix}"
        response = await self._request("GET", path, seconds, name=target.name, kind=kind)
        # The mount options of a volume may contain the password of a file share.
        document = json_decoder.decode_json_object(response.body)
        data = await secret_search_threads.run_search(lambda: redact_json.redact_document(document))
        summary = inspect_summaries.summarise_volume(data) if kind == "volume" else self._summarise_network(data)
        return Document(ref=target, data=data, summary=summary)

    @abc.abstractmethod
    def _summarise_network(self, data: dict[str, Any]) -> dict[str, str]: ...

    async def _remove(self, kind: str, target: Ref, seconds: float) -> Outcome:
        return await self._change(target, f"/{kind}s/{quoted_id(target)}", seconds, method="DELETE", kind=kind)
