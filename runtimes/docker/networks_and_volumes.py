"""Serves the network and volume verbs for Docker: decodes the daemon's answers. `runtimes.docker_like` sends the
requests.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from core.model.networks_and_volumes import ConnectNetwork, CreateNetwork, Network, Volume
from runtimes.docker import create_body, decode, network_summary
from runtimes.docker.client import EngineClient
from runtimes.docker_like import networks_and_volumes


class NetworkVolumeVerbs(EngineClient, networks_and_volumes.NetworkVolumeVerbs, abc.ABC):
    """Serves the network and volume verbs for Docker."""

    path_suffix = ""

    def _decode_networks(self, body: bytes) -> tuple[Network, ...]:
        return decode.networks(self.ref, body, self.skipped)

    def _network_body(self, action: CreateNetwork) -> Mapping[str, Any]:
        return create_body.network_body(action)

    def _endpoint_body(self, action: ConnectNetwork) -> Mapping[str, Any]:
        return {"Container": action.target.id, "EndpointConfig": {"Aliases": list(action.aliases)}}

    def _summarise_network(self, data: dict[str, Any]) -> dict[str, str]:
        return network_summary.summarise_network(data)

    def _decode_volumes(self, body: bytes) -> tuple[Volume, ...]:
        return decode.volumes(self.ref, body, self.skipped)
