"""Decodes which images, volumes and networks the containers in Docker's list use."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import json_field_types


class _Mount(msgspec.Struct):
    type: str = msgspec.field(name="Type", default="")
    name: str = msgspec.field(name="Name", default="")


class _Endpoint(msgspec.Struct):
    network: str = msgspec.field(name="NetworkID", default="")
    id: str = msgspec.field(name="EndpointID", default="")


class _Networks(msgspec.Struct):
    by_name: dict[str, _Endpoint | None] | None = msgspec.field(name="Networks", default=None)


class _HostConfig(msgspec.Struct):
    network: str = msgspec.field(name="NetworkMode", default="")


class UsingContainer(msgspec.Struct):
    """One row of the list of containers."""

    id: str = msgspec.field(name="Id")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    image: str = msgspec.field(name="Image", default="")
    image_id: str = msgspec.field(name="ImageID", default="")
    state: str = msgspec.field(name="State", default="")
    status: str = msgspec.field(name="Status", default="")
    created: json_field_types.UnixSeconds = msgspec.field(name="Created", default=0)
    mounts: list[_Mount] | None = msgspec.field(name="Mounts", default=None)
    networks: _Networks | None = msgspec.field(name="NetworkSettings", default=None)
    host: _HostConfig | None = msgspec.field(name="HostConfig", default=None)

    def ref(self, engine: EngineRef) -> Ref:
        # A container also has the names under which others are linked to it: `/other/alias`.
        name = next((one[1:] for one in self.names or () if one.count("/") == 1), self.id[:12])
        return Ref(engine=engine, kind=Kind.CONTAINER, id=self.id, name=name)

    def used(self) -> Iterator[str]:
        """Yields what the container uses, as `network NAME`, `network ID`, `volume NAME`, `image ID`, `image NAME`."""
        yield f"image {self.image_id}"
        yield f"image {self.image}"
        for name in self.volumes():
            yield f"volume {name}"
        for name, endpoint in self._endpoints():
            yield f"network {name}"
            if endpoint is not None and endpoint.network:
                yield f"network {endpoint.network}"
        # A container that was never started may have no endpoint yet.
        if self.host is not None and self.host.network:
            yield f"network {self.host.network}"

    def volumes(self) -> Iterator[str]:
        """Yields the names of its volumes, and an empty name for each other mount."""
        for mount in self.mounts or ():
            yield mount.name

    def connected_networks(self) -> Iterator[str]:
        """Yields the ids of the networks in which it has an address now."""
        for _, endpoint in self._endpoints():
            if endpoint is not None and endpoint.id and endpoint.network:
                yield endpoint.network

    def _endpoints(self) -> Iterator[tuple[str, _Endpoint | None]]:
        yield from ((self.networks and self.networks.by_name) or {}).items()
