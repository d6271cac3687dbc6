"""Finds the containers and pods that block the removal of a network, a volume, an image or a container in Podman.

Podman refuses to remove a network or a volume of any container, running or stopped, and the last name of an image that
has containers. With force, it removes an image together with its stopped containers; Quarterdeck removes no running
container in this way. Also with force, Podman refuses to remove a container on which another one depends: one that was
created with `--requires`, or that shares a namespace with it. An infra container is removed only with its pod.
"""

from __future__ import annotations

import abc
import time
import urllib.parse
from collections.abc import AsyncIterator, Sequence

import msgspec

from core import errors
from core.model.containers import LIVE_STATES
from core.model.refs import EngineRef, Kind, Ref
from core.model.removal_blockers import FindUsers, ResourceUse, ResourceUsers
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.docker_like import images as shared
from runtimes.docker_like.client import seconds_left
from runtimes.formats import json_decoder
from runtimes.podman import decode, images

MAX_INSPECTED = 200  # containers, to find those that depend on another one


class RemovalBlockerVerbs(images.ImageVerbs, abc.ABC):
    """Serves the verb `engine.users` for Podman."""

    @does(FindUsers)
    async def find_users(self, action: FindUsers, seconds: float) -> ResourceUsers:
        ends = time.monotonic() + seconds

        async def uses(target: Ref) -> Sequence[ResourceUse]:
            return [use async for use in self._uses(target, ends, force=action.force)]

        needed = [target for target in action.resources if target.kind is Kind.CONTAINER]
        found = await map_concurrently(uses, [target for target in action.resources if target not in needed])
        found.append(await self._dependents(needed, ends) if needed else ())
        return ResourceUsers(rows=tuple(use for of_target in found for use in of_target))

    async def _dependents(self, targets: Sequence[Ref], ends: float) -> Sequence[ResourceUse]:
        """Only an inspection says on which containers a container depends. At most MAX_INSPECTED are inspected."""
        rows = {row.id: row for row in await self._users("all=true", ends)}
        pods = {row.pod for target in targets if (row := rows.get(target.id)) is not None}
        # A container depends on containers of its own pod only, and one without a pod on those without one.
        others = [row for row in rows.values() if row.pod in pods and not row.infra]

        async def dependencies(row: _User) -> Sequence[str]:
            try:
                response = await self._request("GET", f"/containers/{row.id}/json", seconds_left(ends), name=row.id)
            except errors.NotFound:
                return ()  # it was removed meanwhile
            return json_decoder.decode_json(_Dependent, response.body, self.skipped).dependencies or ()

        found = await map_concurrently(dependencies, others[:MAX_INSPECTED])
        uses = []
        for target in targets:
            row = rows.get(target.id)
            if row is not None and row.infra:
                uses.append(ResourceUse(target=target, user=row.ref(self._ref), running=row.state in LIVE_STATES))
                continue
            uses += [
                ResourceUse(target=target, user=other.ref(self._ref), running=other.state in LIVE_STATES)
                for other, ids in zip(others, found, strict=False)
                if target.id in ids
            ]
        return uses

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


class _Dependent(msgspec.Struct):
    """A container, with the full ids of those on which it depends."""

    dependencies: list[str] | None = msgspec.field(name="Dependencies", default=None)


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
