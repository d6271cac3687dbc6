"""Implements the network and volume actions for Podman. It decodes the answers; `runtimes.docker_like` sends the
requests."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import msgspec

from core.model.networks_and_volumes import ConnectNetwork, CreateNetwork, Network, Volume
from runtimes.docker_like import decode, json_models, networks_and_volumes
from runtimes.formats import json_decoder, json_field_types
from runtimes.podman import client, create_body, inspect_summaries


class NetworkVolumeVerbs(client.EngineClient, networks_and_volumes.NetworkVolumeVerbs, abc.ABC):
    """Serves the network and volume verbs for Podman."""

    path_suffix = "/json"

    def _decode_networks(self, body: bytes) -> tuple[Network, ...]:
        return tuple(map(self._network, json_decoder.decode_rows(_Network, body, self.skipped)))

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
