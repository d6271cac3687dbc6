"""Implements the network and volume actions for Podman. It decodes the answers; `runtimes.docker_like` sends the
requests."""

from __future__ import annotations

import abc
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

import msgspec

from core import errors
from core.model.networks_and_volumes import ConnectNetwork, CreateNetwork, Network, RemoveNetwork, Volume
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.docker_like import decode, json_models, networks_and_volumes
from runtimes.docker_like.client import seconds_left
from runtimes.formats import json_decoder, json_field_types
from runtimes.podman import client, create_body, inspect_summaries

# Why Podman 4.3 refuses to create a network, if another program adds an interface while Podman looks for a free subnet.
# Podman has created nothing by then. Seen in tests that ran side by side.
_INTERFACES_CHANGED = "no such network interface"
_MAX_CREATE_REQUESTS = 5


class NetworkVolumeVerbs(client.EngineClient, networks_and_volumes.NetworkVolumeVerbs, abc.ABC):
    """Serves the network and volume verbs for Podman."""

    path_suffix = "/json"

    def _decode_networks(self, body: bytes) -> tuple[Network, ...]:
        return tuple(map(self._network, json_decoder.decode_rows(_Network, body, self.skipped)))

    @does(CreateNetwork)
    async def create_network(self, action: CreateNetwork, seconds: float) -> Outcome:
        """Asks again if the machine's network interfaces changed while Podman looked for a free subnet."""
        ends = time.monotonic() + seconds
        for _ in range(_MAX_CREATE_REQUESTS - 1):
            try:
                return await super().create_network(action, seconds_left(ends))
            except errors.Rejected as refusal:
                if _INTERFACES_CHANGED not in refusal.text:
                    raise
        return await super().create_network(action, seconds_left(ends))

    @does(RemoveNetwork)
    async def remove_network(self, action: RemoveNetwork, seconds: float) -> Outcome:
        """Removes a network by its name. By its id, Podman 4 removes it even if containers use it."""
        ends, target = time.monotonic() + seconds, action.target
        path = f"/networks/{urllib.parse.quote(target.name, safe='')}"
        response = await self._request("GET", f"{path}/json", seconds, name=target.name, kind="network")
        found = json_decoder.decode_json(_Network, response.body)
        if (found.id or found.name) != target.id:
            raise errors.NotFound(
                f"The network was not removed, because the name {target.name} belongs to another network now.",
                hint="List the networks with `network ls`, and give the command again.",
            )
        return await self._change(target, path, seconds_left(ends), method="DELETE", kind="network")

    def _network(self, row: _Network) -> Network:
        return Network(
            ref=self._decoder.ref("network", row.id or row.name, row.name),
            driver=row.driver,
            subnets=tuple(one.subnet for one in row.subnets or ()),
            internal=row.internal,
            labels=row.labels or {},
        )

    def _network_body(self, action: CreateNetwork) -> Mapping[str, Any]:
        return create_body.network_body(action)

    def _endpoint_body(self, action: ConnectNetwork) -> Mapping[str, Any]:
        return {"container": action.target.id, "aliases": list(action.aliases)}

    def _summarise_network(self, data: dict[str, Any]) -> dict[str, str]:
        return inspect_summaries.summarise_network(data)

    def _decode_volumes(self, body: bytes) -> tuple[Volume, ...]:
        return decode.volumes(self.ref, json_decoder.decode_rows(json_models.Volume, body, self.skipped), self.skipped)


class _Subnet(msgspec.Struct):
    subnet: str = ""


class _Network(msgspec.Struct):
    name: str = ""
    id: str = ""
    driver: str = ""
    internal: bool = False
    subnets: list[_Subnet] | None = None
    labels: json_field_types.Labels = None
