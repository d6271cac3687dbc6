"""Lists, inspects and removes Docker's networks and volumes."""

from __future__ import annotations

import abc

from core.model import resources
from core.model.refs import Ref
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.docker import decode_resources
from runtimes.docker.client import EngineClient
from runtimes.docker_like.client import quoted_id
from runtimes.formats import decoding


class ResourceVerbs(EngineClient, abc.ABC):
    @does(resources.ListNetworks)
    async def list_networks(self, action: resources.ListNetworks, seconds: float) -> resources.Networks:
        response = await self._request("GET", "/networks", seconds)
        return resources.Networks(rows=decode_resources.networks(self.ref, response.body))

    @does(resources.InspectNetwork)
    async def inspect_network(self, action: resources.InspectNetwork, seconds: float) -> Document:
        return await self._inspect("network", action.target, seconds)

    @does(resources.RemoveNetwork)
    async def remove_network(self, action: resources.RemoveNetwork, seconds: float) -> Outcome:
        return await self._remove("network", action.target, seconds)

    @does(resources.ListVolumes)
    async def list_volumes(self, action: resources.ListVolumes, seconds: float) -> resources.Volumes:
        response = await self._request("GET", "/volumes", seconds)
        return resources.Volumes(rows=decode_resources.volumes(self.ref, response.body))

    @does(resources.InspectVolume)
    async def inspect_volume(self, action: resources.InspectVolume, seconds: float) -> Document:
        return await self._inspect("volume", action.target, seconds)

    @does(resources.RemoveVolume)
    async def remove_volume(self, action: resources.RemoveVolume, seconds: float) -> Outcome:
        return await self._remove("volume", action.target, seconds)

    async def _inspect(self, kind: str, target: Ref, seconds: float) -> Document:
        response = await self._request("GET", f"/{kind}s/{quoted_id(target)}", seconds, name=target.name, kind=kind)
        # The mount options of a volume may contain the password of a file share.
        return Document(ref=target, data=redact_json.redact_document(decoding.document(response.body)))

    async def _remove(self, kind: str, target: Ref, seconds: float) -> Outcome:
        return await self._change(target, f"/{kind}s/{quoted_id(target)}", seconds, method="DELETE", kind=kind)
