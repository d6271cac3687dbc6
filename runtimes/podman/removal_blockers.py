"""Finds the containers and pods that block the removal of a network, a volume or an image in Podman.

Podman refuses to remove a network or a volume of any container, running or stopped. It refuses to remove the last name
of an image that has containers. With force, Podman removes an image together with its stopped containers. Quarterdeck
does not remove running containers with it.
"""

from __future__ import annotations

import abc
import time
import urllib.parse
from collections.abc import AsyncIterator, Sequence

import msgspec

from core.model.containers import LIVE_STATES
from core.model.refs import EngineRef, Kind, Ref
from core.model.removal_blockers import FindUsers, ResourceUse, ResourceUsers
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.docker_like import images as shared
from runtimes.docker_like.client import seconds_left
from runtimes.formats import json_decoder
from runtimes.podman import decode, images


class RemovalBlockerVerbs(images.ImageVerbs, abc.ABC):
    """Serves the verb `engine.users` for Podman."""

    @does(FindUsers)
    async def find_users(self, action: FindUsers, seconds: float) -> ResourceUsers:
        ends = time.monotonic() + seconds

        async def uses(target: Ref) -> Sequence[ResourceUse]:
            return [use async for use in self._uses(target, ends, force=action.force)]

        found = await map_concurrently(uses, action.resources)
        return ResourceUsers(rows=tuple(use for of_target in found for use in of_target))

    async def _uses(self, target: Ref, ends: float, *, force: bool) -> AsyncIterator[ResourceUse]:
        """A row of Podman's list does not say which volumes it is about, so each resource has a request of its own."""
        if target.kind is not Kind.IMAGE:
            for row in await self._users(f"all=true&filters={_filter(str(target.kind), target.name)}", ends):
                yield ResourceUse(target=target, user=row.ref(self._ref), running=row.state in LIVE_STATES)
            return
        if not shared.is_referenced_by_id(target):
            found = await self._get_image(target.id, seconds_left(ends))
            if len(await self._names(found, seconds_left(ends))) > 1:
                return  # only this name is removed
        # With those of other programs in the same storage, such as Buildah's.
        rows = [row for row in await self._users("all=true&external=true", ends) if row.image == target.id]
        running = [row for row in rows if row.state in LIVE_STATES]
        for row in running if force else rows:
            yield ResourceUse(
                target=target, user=row.ref(self._ref), running=row.state in LIVE_STATES, forcible=not running
            )

    async def _users(self, query: str, ends: float) -> Sequence[_User]:
        response = await self._request("GET", f"/containers/json?{query}", seconds_left(ends))
        return await json_decoder.decode_all_rows(_User, response.body, self.skipped)


class _User(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    image: str = msgspec.field(name="ImageID", default="")
    pod: str = msgspec.field(name="Pod", default="")
    pod_name: str = msgspec.field(name="PodName", default="")
    infra: bool = msgspec.field(name="IsInfra", default=False)
    engine_state: str = msgspec.field(name="State", default="")

    @property
    def state(self) -> str:
        return decode.STATES.get(self.engine_state.lower(), "")

    def ref(self, engine: EngineRef) -> Ref:
        """Returns the container; the pod, if it is the container that holds the network of a pod."""
        if self.infra and self.pod:
            return Ref(engine=engine, kind=Kind.POD, id=self.pod, name=self.pod_name or self.pod[:12])
        return Ref(engine=engine, kind=Kind.CONTAINER, id=self.id, name=(self.names or [""])[0] or self.id[:12])


def _filter(name: str, value: str) -> str:
    return urllib.parse.quote(msgspec.json.encode({name: [value]}).decode())
