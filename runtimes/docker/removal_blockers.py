"""Finds the containers, services and images that block the removal of a network, a volume or an image in Docker.

Docker refuses to remove a network that a container or a Swarm service uses. It refuses to remove a volume of any
container, running or stopped. It refuses to remove the last tag of an image that has containers; `--force` removes this
tag. By id, an image cannot be removed while one of its containers runs, or while other images are built on it.
"""

from __future__ import annotations

import abc
import time
import urllib.parse
from collections.abc import AsyncIterator, Collection, Sequence

import msgspec

from core.model.containers import LIVE_STATES
from core.model.refs import Kind, Ref
from core.model.removal_blockers import FindUsers, ResourceUse, ResourceUsers
from runtimes.base.base_adapter import does
from runtimes.docker import images
from runtimes.docker.using_containers import UsingContainer
from runtimes.docker_like import decode, json_models
from runtimes.docker_like import images as shared
from runtimes.docker_like.client import seconds_left
from runtimes.formats import json_decoder


class RemovalBlockerVerbs(images.ImageVerbs, abc.ABC):
    """Serves the verb `engine.users` for Docker."""

    @does(FindUsers)
    async def find_users(self, action: FindUsers, seconds: float) -> ResourceUsers:
        ends = time.monotonic() + seconds
        by_kind = {
            kind: [ref for ref in action.resources if ref.kind is kind]
            for kind in (Kind.NETWORK, Kind.VOLUME, Kind.IMAGE)
        }
        found = [use async for use in self._network_users(by_kind[Kind.NETWORK], ends)]
        found += [use async for use in self._volume_users(by_kind[Kind.VOLUME], ends)]
        for ref in by_kind[Kind.IMAGE]:
            found += [use async for use in self._image_users(ref, ends, force=action.force)]
        return ResourceUsers(rows=tuple(found))

    async def _network_users(self, networks: Sequence[Ref], ends: float) -> AsyncIterator[ResourceUse]:
        if not networks:
            return
        for row in await self._using("network", [ref.id for ref in networks], ends, stopped=False):
            connected = set(row.connected_networks())
            for ref in networks:
                if ref.id in connected:
                    yield ResourceUse(target=ref, user=row.ref(self._ref), running=True)
        if not self._info.swarm.manager:
            return
        response = await self._request("GET", "/services", seconds_left(ends))
        for service in await json_decoder.decode_all_rows(_Service, response.body, self.skipped):
            user = Ref(engine=self._ref, kind=Kind.SERVICE, id=service.id, name=service.spec.name or service.id[:12])
            used = service.spec.networks()
            for ref in networks:
                if not used.isdisjoint((ref.id, ref.name)):
                    yield ResourceUse(target=ref, user=user, running=True)

    async def _volume_users(self, volumes: Sequence[Ref], ends: float) -> AsyncIterator[ResourceUse]:
        if not volumes:
            return
        for row in await self._using("volume", [ref.name for ref in volumes], ends):
            mounted = set(row.volumes())
            for ref in volumes:
                if ref.name in mounted:
                    yield ResourceUse(target=ref, user=row.ref(self._ref), running=row.state in LIVE_STATES)

    async def _image_users(self, target: Ref, ends: float, *, force: bool) -> AsyncIterator[ResourceUse]:
        by_id = shared.is_referenced_by_id(target)
        if force and not by_id:
            return
        if not by_id and images.has_several_names(await self._get_image(target.id, seconds_left(ends))):
            return  # only this name is removed
        if by_id:
            for child in await self._built_on(target.id, ends):
                yield ResourceUse(target=target, user=child)
        # The list also contains containers of images that are built on this one.
        rows = [row for row in await self._using("ancestor", [target.id], ends) if row.image_id == target.id]
        running = [row for row in rows if row.state in LIVE_STATES]
        for row in running if force else rows:
            yield ResourceUse(
                target=target,
                user=row.ref(self._ref),
                running=row.state in LIVE_STATES,
                forcible=not by_id or not running,
            )

    async def _built_on(self, image_id: str, ends: float) -> Sequence[Ref]:
        """Returns the images that were built on an image, also those without a name. Docker knows them only if it built
        or committed them itself, without BuildKit."""
        response = await self._request("GET", "/images/json?all=1", seconds_left(ends))
        rows = await json_decoder.decode_all_rows(_BuiltImage, response.body, self.skipped)
        return [decode.image_ref(self._ref, row) for row in rows if row.parent == image_id]

    async def _using(
        self, name: str, values: Collection[str], ends: float, *, stopped: bool = True
    ) -> Sequence[UsingContainer]:
        """Lists the containers that a filter selects. `stopped`: also those that do not run."""
        filters = urllib.parse.quote(msgspec.json.encode({name: list(values)}).decode())
        path = f"/containers/json?all={int(stopped)}&filters={filters}"
        response = await self._request("GET", path, seconds_left(ends))
        return await json_decoder.decode_all_rows(UsingContainer, response.body, self.skipped)


class _BuiltImage(json_models.Image):
    """An image, with the id of the one on which it was built."""

    parent: str = msgspec.field(name="ParentId", default="")


class _Attachment(msgspec.Struct):
    target: str = msgspec.field(name="Target", default="")


class _TaskTemplate(msgspec.Struct):
    networks: list[_Attachment] | None = msgspec.field(name="Networks", default=None)


class _ServiceSpec(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    template: _TaskTemplate = msgspec.field(name="TaskTemplate", default_factory=_TaskTemplate)
    old: list[_Attachment] | None = msgspec.field(name="Networks", default=None)  # before Docker 1.13

    def networks(self) -> set[str]:
        """Returns the ids or names of its networks."""
        return {one.target for one in (*(self.template.networks or ()), *(self.old or ()))}


class _Service(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")
    spec: _ServiceSpec = msgspec.field(name="Spec", default_factory=_ServiceSpec)
