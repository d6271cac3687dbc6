"""Lists, inspects and removes networks and volumes, with the requests that Docker and Podman have in common."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

from core import search_threads
from core.model import networks_and_volumes
from core.model.refs import Ref
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.docker_like import summaries
from runtimes.docker_like.client import HttpEngineClient, quoted_id
from runtimes.formats import json_decoder


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

    async def _inspect(self, kind: str, target: Ref, seconds: float) -> Document:
        path = f"/{kind}s/{quoted_id(target)}{self.path_suffix}"
        response = await self._request("GET", path, seconds, name=target.name, kind=kind)
        # The mount options of a volume may contain the password of a file share.
        document = json_decoder.decode_json_object(response.body)
        data = await search_threads.run(lambda: redact_json.redact_document(document))
        summary = summaries.volume(data) if kind == "volume" else self._summarise_network(data)
        return Document(ref=target, data=data, summary=summary)

    @abc.abstractmethod
    def _summarise_network(self, data: dict[str, Any]) -> dict[str, str]: ...

    async def _remove(self, kind: str, target: Ref, seconds: float) -> Outcome:
        return await self._change(target, f"/{kind}s/{quoted_id(target)}", seconds, method="DELETE", kind=kind)
