"""Finds the containers that a change stopped and that did not end within their grace, for pods and units.

A pod or a unit stops several containers, may remove them, and may start them again. So the end of a container is read
from its event, or from its inspection if Podman records no events. A container can only exceed its grace if the grace
is not longer than the whole change. Any other killed container was killed by somebody else.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping

from core import errors
from core.lazy_dataclass import dataclass
from core.model.containers import LIVE_STATES
from core.model.events import EventKind
from runtimes.base import stop_grace
from runtimes.base.concurrent_map import map_concurrently
from runtimes.docker_like import json_models
from runtimes.formats import json_decoder
from runtimes.podman import client, decode

READ_SECONDS = 10.0  # of one request before or after a change
ENDS_QUERY = "/events?stream=false&filters=%7B%22event%22%3A%5B%22died%22%5D%7D"
EARLIER_NS = 1_000_000_000  # Podman computes with floating point: ask for a bit more


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingContainer:
    """One running container that a change is about to stop. `grace`: in seconds."""

    name: str
    grace: float


class KilledContainers(client.EngineClient, abc.ABC):
    """Reads what is running before a change, and what was killed after it."""

    async def _running(self, ids: Collection[str], given: int | None = None) -> dict[str, StoppingContainer]:
        """Returns the running ones of these containers, by id. `given`: the requester's grace for each; None: their
        own settings."""

        async def read(container_id: str) -> tuple[str, StoppingContainer] | None:
            found = await self._inspected_or_none(container_id)
            if found is None or found.state.status not in LIVE_STATES:
                return None
            grace = stop_grace.grace_seconds(given, found.config.stop_timeout)
            return container_id, StoppingContainer(name=found.name, grace=grace)

        return dict(one for one in await map_concurrently(read, list(ids)) if one is not None)

    async def _killed(self, stopped: Mapping[str, StoppingContainer], took: float, since_ns: int) -> tuple[str, ...]:
        """Returns the names of the containers that were killed by a change that began at `since_ns` (nanoseconds since
        the epoch, by this machine's clock) and took so many seconds."""
        slow = {key: one.name for key, one in stopped.items() if one.grace <= took}
        if not slow:
            return ()
        codes = await self._codes_of_events(since_ns)

        async def name(container_id: str) -> str:
            if container_id in codes:
                return slow[container_id] if codes[container_id] == stop_grace.SIGKILL_CODE else ""
            try:
                found = await self._inspected_or_none(container_id)
            except errors.EngineError:
                return ""
            ended = found is not None and found.state.status not in LIVE_STATES and not found.state.oom_killed
            killed = ended and found is not None and found.state.exit_code == stop_grace.SIGKILL_CODE
            return slow[container_id] if killed else ""

        return tuple(sorted(filter(None, await map_concurrently(name, list(slow)))))

    async def _codes_of_events(self, since_ns: int) -> dict[str, int]:
        """Returns the exit code of the first end of each container since then; empty if no events are recorded."""
        asked = max(1, since_ns - EARLIER_NS)
        try:
            response = await self._request(
                "GET", f"{ENDS_QUERY}&since={asked // 1_000_000_000}.{asked % 1_000_000_000:09d}", READ_SECONDS
            )
            events = decode.Decoder(self.ref, self.skipped).events(response.body, replay_before=0, since=since_ns)
        except errors.EngineError:
            return {}
        codes: dict[str, int] = {}
        for event in events:
            if event.kind is EventKind.DIED and (code := event.attrs.get("exit_code", "")).isdecimal():
                codes.setdefault(event.subject.id, int(code))
        return codes

    async def _inspected_or_none(self, container_id: str) -> json_models.Inspection | None:
        """Returns None for a container that does not exist."""
        try:
            response = await self._request("GET", f"/containers/{container_id}/json", READ_SECONDS)
        except errors.NotFound:
            return None
        return json_decoder.decode_json(json_models.Inspection, response.body)
