"""Changes limits and the restart policy of Docker's containers."""

from __future__ import annotations

import abc
import time
from typing import Any

import msgspec

from core.model.rename_and_update import UNLIMITED, UpdateContainer
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.docker_like.client import MIN_SECONDS, HttpEngineClient, quoted_id
from runtimes.formats import json_decoder, json_field_types

READ_SECONDS = 10.0
# Docker takes 0 for “unchanged”, refuses -1 for memory, and does not pass it on for swap. The kernel takes these for no
# limit. On cgroup v2 the limit of swap is their difference.
NO_MEMORY_LIMIT, NO_SWAP_LIMIT = 1 << 62, (1 << 63) - 4_096


class _HostConfig(msgspec.Struct):
    memory: json_field_types.Int64 = msgspec.field(name="Memory", default=0)
    swap: json_field_types.Int64 = msgspec.field(name="MemorySwap", default=0)
    quota: json_field_types.Int64 = msgspec.field(name="CpuQuota", default=0)


class _Host(msgspec.Struct):
    processors: int = msgspec.field(name="NCPU", default=0)


class _Inspected(msgspec.Struct):
    host: _HostConfig | None = msgspec.field(name="HostConfig", default=None)


class _Updated(msgspec.Struct):
    warnings: list[str] | None = msgspec.field(name="Warnings", default=None)


class UpdateVerbs(HttpEngineClient, abc.ABC):
    """Serves the verb that changes limits for Docker."""

    @does(UpdateContainer)
    async def update_container(self, action: UpdateContainer, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        path = f"/containers/{quoted_id(target)}"
        body: dict[str, Any] = {}
        found = _HostConfig()
        if action.memory or action.cpus == UNLIMITED:
            response = await self._request("GET", f"{path}/json", READ_SECONDS, name=target.name)
            found = json_decoder.decode_json(_Inspected, response.body).host or found
        if action.memory == UNLIMITED:
            body |= {"Memory": NO_MEMORY_LIMIT, "MemorySwap": NO_SWAP_LIMIT}
        elif action.memory:
            # Docker refuses a limit above that of memory and swap together, so both are set.
            body |= {"Memory": action.memory, "MemorySwap": _swap(found, action.memory)}
        if action.cpus == UNLIMITED:
            body |= {"CpuQuota": -1} if found.quota > 0 else {"NanoCpus": await self._processors() * 10**9}
        elif action.cpus:
            body["NanoCpus"] = round(action.cpus * 1e9)
        if action.pids:
            body["PidsLimit"] = action.pids
        if action.restart:
            name, _, tries = action.restart.partition(":")
            body["RestartPolicy"] = {"Name": name, "MaximumRetryCount": int(tries or 0)}
        left = max(MIN_SECONDS, seconds - (time.monotonic() - began))
        response = await self._request("POST", f"{path}/update", left, name=target.name, body=body)
        warnings = json_decoder.decode_json(_Updated, response.body, self.skipped).warnings or ()
        detail = "; ".join((action.description(), *warnings))
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    async def _processors(self) -> int:
        """Returns the number of the host's processors. A limit of all of them is none: Docker cannot remove it."""
        response = await self._request("GET", "/info", READ_SECONDS)
        return max(1, json_decoder.decode_json(_Host, response.body, self.skipped).processors)


def _swap(before: _HostConfig, memory: int) -> int:
    """Returns the limit of memory and swap together: unlimited or without swap as before, otherwise Docker's default,
    which is twice the memory."""
    if before.memory == NO_MEMORY_LIMIT:
        return 2 * memory
    if before.swap < 0:
        return -1
    if before.memory and before.swap == before.memory:
        return memory
    return 2 * memory
