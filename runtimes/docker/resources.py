"""The part of Docker that knows networks and volumes."""

from __future__ import annotations

import abc
import time

from core.model import resources
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.docker import decode_resources
from runtimes.docker.client import EngineClient, path_of
from runtimes.formats import decoding


class ResourceVerbs(EngineClient, abc.ABC):
    @does(resources.ListNetworks)
    async def list_networks(self, action: resources.ListNetworks, seconds: float) -> resources.Networks:
        answer = await self._ask("GET", "/networks", seconds)
        return resources.Networks(rows=decode_resources.networks(self.ref, answer.body))

    @does(resources.InspectNetwork)
    async def inspect_network(self, action: resources.InspectNetwork, seconds: float) -> Document:
        return await self._document("networks", "network", action.target, seconds)

    @does(resources.RemoveNetwork)
    async def remove_network(self, action: resources.RemoveNetwork, seconds: float) -> Outcome:
        return await self._take_away("networks", "network", action.target, seconds)

    @does(resources.ListVolumes)
    async def list_volumes(self, action: resources.ListVolumes, seconds: float) -> resources.Volumes:
        answer = await self._ask("GET", "/volumes", seconds)
        return resources.Volumes(rows=decode_resources.volumes(self.ref, answer.body))

    @does(resources.InspectVolume)
    async def inspect_volume(self, action: resources.InspectVolume, seconds: float) -> Document:
        return await self._document("volumes", "volume", action.target, seconds)

    @does(resources.RemoveVolume)
    async def remove_volume(self, action: resources.RemoveVolume, seconds: float) -> Outcome:
        return await self._take_away("volumes", "volume", action.target, seconds)

    async def _document(self, place: str, what: str, target: Ref, seconds: float) -> Document:
        answer = await self._ask("GET", f"/{place}/{path_of(target)}", seconds, about=target.name, what=what)
        # Mount options of a volume may hold the password of a share.
        data = redact_json.redact_document(decoding.document(answer.body))
        return Document(ref=target, data=data)

    async def _take_away(self, place: str, what: str, target: Ref, seconds: float) -> Outcome:
        began = time.monotonic()
        await self._ask("DELETE", f"/{place}/{path_of(target)}", seconds, about=target.name, what=what)
        return Outcome(status=Status.DONE, took=time.monotonic() - began)
