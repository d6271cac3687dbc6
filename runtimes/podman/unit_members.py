"""Finds the containers of a systemd unit, and those that did not end in time when the unit was stopped."""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Mapping

import msgspec

from core import errors
from core.lazy_dataclass import dataclass
from core.model.results import Outcome
from runtimes.base import stop_grace
from runtimes.formats import json_decoder, json_field_types
from runtimes.podman import killed_containers, quadlet_draft
from runtimes.podman.killed_containers import StoppingContainer
from runtimes.systemd import systemctl_parse

LOOK_SECONDS = 10.0  # to find out what a unit runs before it is stopped


class ListedContainer(msgspec.Struct):
    """Models one row of Podman's list of containers."""

    id: str = msgspec.field(name="Id", default="")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    pod: str = msgspec.field(name="PodName", default="")


def is_member(row: ListedContainer, service: systemctl_parse.Service) -> bool:
    """Whether the unit runs this container."""
    if service.pod and row.pod == service.pod:
        return True
    if (row.labels or {}).get(quadlet_draft.UNIT_LABEL) == service.name:
        return True
    return bool(service.container) and (service.container in (row.names or ()) or service.container == row.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStop:
    """What a unit runs before it is stopped. `began`: by the monotonic clock; `began_ns`: since the epoch."""

    running: Mapping[str, StoppingContainer]
    began: float
    began_ns: int


class UnitMembers(killed_containers.KilledContainers, abc.ABC):
    """Reads which containers a unit runs, and which of them were killed."""

    async def _before_stop(self, service: systemctl_parse.Service) -> UnitStop:
        running = await self._running_members(service)
        return UnitStop(running=running, began=time.monotonic(), began_ns=time.time_ns())

    async def _with_killed(self, outcome: Outcome, stop: UnitStop, ended: systemctl_parse.Service | None) -> Outcome:
        """Returns the outcome of a stop or restart, with what was killed. `ended`: the unit after a stop: systemd kills
        it if its own time is over."""
        killed = await self._killed(stop.running, time.monotonic() - stop.began, stop.began_ns)
        text = stop_grace.were_killed(killed)
        if not killed and ended is not None and ended.stopped_late:
            text, killed = stop_grace.was_killed(ended.stop_seconds), (ended.name,)
        detail = "; ".join(filter(None, (outcome.detail, text)))
        return msgspec.structs.replace(outcome, detail=detail, killed=killed)

    async def _running_members(self, service: systemctl_parse.Service) -> dict[str, StoppingContainer]:
        """Returns the running containers of a unit, by id. Returns nothing if Podman does not answer: systemd can stop
        the unit without this."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                listed = await self._request("GET", "/containers/json", LOOK_SECONDS)
                rows = await json_decoder.decode_all_rows(ListedContainer, listed.body, self.skipped)
                return await self._running([row.id for row in rows if is_member(row, service)])
        except (errors.EngineError, TimeoutError):
            return {}
