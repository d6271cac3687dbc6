"""The small steps of Docker that recipes are made of: replicas of a compose service found, made, started, ended."""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from runtimes.compose import services
from runtimes.docker import decode, replica
from runtimes.formats import decoding
from runtimes.transport import http_client

CLEANING = 5.0  # seconds to take back what was made and cannot be used


class Ask(Protocol):
    """One exchange with the daemon: raises NotFound, Rejected and the other EngineErrors."""

    def __call__(
        self, method: str, target: str, seconds: float, *, about: str = "", body: Any = None
    ) -> Awaitable[http_client.Response]: ...


class Steps:
    def __init__(
        self,
        ask: Ask,
        dialect: Callable[[], decode.Decoder],
        describe: Callable[[Sequence[str], float], Awaitable[dict[str, Container | None]]],
    ) -> None:
        self._ask, self._dialect, self._describe = ask, dialect, describe

    async def replicas(self, project: str, service: str, seconds: float) -> Sequence[Container]:
        labels = [f"{services.PROJECT}={project}", f"{services.SERVICE}={service}"]
        filters = urllib.parse.quote(msgspec.json.encode({"label": labels}).decode())
        answer = await self._ask("GET", f"/containers/json?all=1&filters={filters}", seconds)
        return [row for row in self._dialect().listed(answer.body) if not row.one_off]

    async def template(self, replicas: Sequence[Container], seconds: float) -> _ReplicaTemplate:
        """After the newest whose name is a replica's. Raises UserError."""
        newest = sorted(replicas, key=lambda row: -row.created_at)
        chosen = next((row for row in newest if replica.separator(row.ref.name, row.labels)), newest[0])
        answer = await self._ask("GET", f"/containers/{_id(chosen.ref)}/json", seconds, about=chosen.ref.name)
        data = decoding.document(answer.body)
        replica.refuse(chosen.ref.name, data)
        return _ReplicaTemplate(self._ask, chosen, data, await self._image(data, seconds))

    async def start(self, thing: Ref, seconds: float) -> None:
        await self._ask("POST", f"/containers/{_id(thing)}/start", seconds, about=thing.name)

    async def stop(self, thing: Ref, seconds: float) -> None:
        """By its own signal, within its own grace."""
        await self._ask("POST", f"/containers/{_id(thing)}/stop", seconds, about=thing.name)

    async def remove(self, thing: Ref, seconds: float) -> None:
        await self._ask("DELETE", f"/containers/{_id(thing)}", seconds, about=thing.name)

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        return await self._describe(ids, deadline)

    async def _image(self, data: dict[str, Any], seconds: float) -> str:
        """The image's name while it still means the same image, else its id: replicas are alike."""
        name, image = str(data["Config"]["Image"]), str(data["Image"])
        try:
            answer = await self._ask("GET", f"/images/{urllib.parse.quote(name, safe='/:@')}/json", seconds)
        except (errors.NotFound, errors.Rejected):
            return image
        return name if decoding.document(answer.body).get("Id") == image else image


class _ReplicaTemplate:
    def __init__(self, ask: Ask, after: Container, data: dict[str, Any], image: str) -> None:
        self._ask, self._after, self._data, self._image = ask, after, data, image
        self._mark = replica.separator(after.ref.name, after.labels)

    def name(self, number: int) -> str:
        labels = self._after.labels
        return self._mark.join((labels[services.PROJECT], labels[services.SERVICE], str(number)))

    async def create(self, number: int, seconds: float) -> Ref:
        name = self.name(number)
        body, more = replica.body(self._data, name, number, self._image)
        answer = await self._ask("POST", f"/containers/create?name={urllib.parse.quote(name)}", seconds, body=body)
        made = _ref(self._after.ref.engine, str(decoding.document(answer.body)["Id"]), name)
        for network, endpoint in more.items():
            try:
                target = f"/networks/{urllib.parse.quote(network, safe='')}/connect"
                await self._ask("POST", target, seconds, body={"Container": made.id, "EndpointConfig": endpoint})
            except errors.QuarterdeckError as error:
                await self._take_back(made, error)
                raise
        return made

    async def _take_back(self, made: Ref, why: errors.QuarterdeckError) -> None:
        """It never ran, and half connected it must not be taken for a replica."""
        try:
            await self._ask("DELETE", f"/containers/{made.id}?force=1&v=1", CLEANING)
        except errors.QuarterdeckError:
            raise errors.EngineError(
                f"{made.name} was made, not connected ({why.message}), and could not be removed.",
                hint=f"Remove it: rm {made.name}",
            ) from why


def _ref(engine: EngineRef, thing: str, name: str) -> Ref:
    return Ref(engine=engine, kind=Kind.CONTAINER, id=thing, name=name)


def _id(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
