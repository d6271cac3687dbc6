"""Sends the requests of a rollout: reads one Swarm service and its tasks, and updates the service.

A request to update contains the version of the service that it is based on. If somebody else has changed the service
since then, the Swarm rejects the request. Then the change is made again in the new version, unless both have changed
the same settings. So no change is lost.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from core import errors
from core.lazy_dataclass import dataclass
from core.model.refs import Ref
from runtimes.formats import json_decoder
from runtimes.swarm import decode, error_messages, json_models, spec_conflicts
from runtimes.swarm.json_models import Task
from runtimes.transport import http_client

MAX_ATTEMPTS = 3  # to send one update, each based on a newer version
STEADY_SECONDS = 3.0  # all tasks must run for so long
TIMEOUT_SECONDS = 10.0  # of one request
DIGEST_TIMEOUT_SECONDS = 8.0
_NOT_OF_TASKS = ("Placement", "Runtime")


class ServiceUpdater:
    """Reads and updates one service, and measures how long it has been steady. `shared`: somebody else changed the
    service while `update` ran, and both changes apply."""

    def __init__(self, send: SendRequest, target: Ref) -> None:
        self._send, self.target = send, target
        self._id = urllib.parse.quote(target.id, safe="")
        self._steady_since = 0.0
        self.shared = False

    async def update(
        self,
        change: Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]],
        options: str = "",
        *,
        image: str = "",
        exclusive: bool = False,
    ) -> bool:
        """Sends the specification that `change` returns for the service. Returns False if `change` returns None.
        `image`: the login of its registry replaces the one that the Swarm stores for the service, if there is one.
        Raises EngineError if somebody else changed the same settings at the same time; with `exclusive`, if somebody
        else changed anything. The Swarm gives a service a new version also when it only reports its progress."""
        options = options or "&registryAuthFrom=spec"
        based_on: Mapping[str, Any] | None = None
        touched: frozenset[str] = frozenset()
        for _ in range(MAX_ATTEMPTS):
            raw = await self.inspect()
            with json_decoder.reading(f"The service {self.target.name}"):
                spec = await change(raw)
                path = f"/services/{self._id}/update?version={int(raw['Version']['Index'])}{options}"
            if spec is None:
                return False
            theirs = (
                spec_conflicts.find_changed_settings(based_on, raw["Spec"]) if based_on is not None else frozenset()
            )
            if both := sorted(theirs if exclusive else touched & theirs):
                raise self._conflict(f"{', '.join(both[:3])} of {self.target.name}")
            self.shared = self.shared or bool(theirs)
            try:
                await self._request("POST", path, body=spec, image=image)
            except errors.Rejected as error:
                if not error_messages.is_out_of_sequence(error.text):
                    raise
                based_on, touched = raw["Spec"], spec_conflicts.find_changed_settings(raw["Spec"], spec)
                continue
            return True
        raise self._conflict(self.target.name)

    def _conflict(self, what: str) -> errors.EngineError:
        return spec_conflicts.conflict(what, f"service inspect {self.target.name}")

    @property
    def note(self) -> str:
        """Returns the end of a sentence about somebody else's change; empty if there was none."""
        return "; somebody else changed it at the same time, and both changes apply" if self.shared else ""

    async def inspect(self) -> dict[str, Any]:
        return json_decoder.decode_json_object(await self._request("GET", f"/services/{self._id}"))

    async def tasks(self) -> Sequence[Task]:
        return await json_decoder.decode_all_rows(json_models.Task, await self._tasks())

    async def tasks_by_version(self, spec: Mapping[str, Any]) -> tuple[Sequence[Task], frozenset[str]]:
        """Returns all tasks, and the ids of those that were made from this specification. The Swarm does not replace a
        task whose node still satisfies changed constraints, and does not report the runtime of a task."""
        body, template = await self._tasks(), spec.get("TaskTemplate") or {}
        same = [
            row.id
            for row in await json_decoder.decode_all_rows(json_models.TaskVersion, body)
            if all(path.startswith(_NOT_OF_TASKS) for path in spec_conflicts.find_changed_settings(template, row.spec))
        ]
        return await json_decoder.decode_all_rows(json_models.Task, body), frozenset(same)

    async def _tasks(self) -> bytes:
        filters = urllib.parse.quote(msgspec.json.encode({"service": [self.target.id]}).decode())
        return await self._request("GET", f"/tasks?filters={filters}")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedImage:
    """An image, with its digest if its registry returned one. `platforms`: architecture and system of each variant;
    empty if unknown. `note`: the end of a sentence for the requester, if there is no digest."""

    name: str
    platforms: tuple[tuple[str, str], ...] = ()
    note: str = ""


async def pinned_image(send: SendRequest, image: str) -> PinnedImage:
    """Asks the registry for the digest and the platforms of an image. If it does not answer, the name is left as it
    is."""
    name, _, digest = image.partition("@")
    try:
        path = f"/distribution/{urllib.parse.quote(image, safe='/:@')}/json"
        answer = await send("GET", path, DIGEST_TIMEOUT_SECONDS, image=image)
        found = json_decoder.decode_json(json_models.Distribution, answer.body)
    except errors.QuarterdeckError:
        note = "" if digest else "; its registry did not return a digest, so nodes may run different versions of it"
        return PinnedImage(name=image, note=note)
    platforms = [(one.architecture, one.system) for one in found.platforms or () if one.architecture and one.system]
    return PinnedImage(name=f"{name}@{digest or found.descriptor.digest}", platforms=tuple(platforms))


class SendRequest(Protocol):
    """Sends one request to the Swarm. Raises NotFound, Rejected and the other EngineErrors."""

    def __call__(
        self, method: str, target: str, seconds: float, *, body: Any = None, image: str = ""
    ) -> Awaitable[http_client.Response]: ...
