"""The JSON that containerd and its clients store: container specifications, published ports, image manifests."""

from __future__ import annotations

import msgspec


class Process(msgspec.Struct):
    args: list[str] | None = None
    terminal: bool = False


class Spec(msgspec.Struct):
    """The part of an OCI runtime specification that is used here."""

    process: Process | None = None


class PublishedPort(msgspec.Struct, rename="pascal"):
    """One entry of nerdctl's label `nerdctl/ports`."""

    host_port: int = 0
    container_port: int = 0
    protocol: str = "tcp"
    host_ip: str = msgspec.field(name="HostIP", default="")


class Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""


class Descriptor(msgspec.Struct, rename="camel"):
    """Points to a blob in the content store. `size`: bytes."""

    digest: str = ""
    size: int = 0
    platform: Platform | None = None


class Manifest(msgspec.Struct):
    """An image's manifest (`config`, `layers`), or an index of several manifests (`manifests`)."""

    config: Descriptor | None = None
    layers: list[Descriptor] = []
    manifests: list[Descriptor] = []


class ContainerConfig(msgspec.Struct):
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class ImageConfig(msgspec.Struct):
    created: str = ""
    config: ContainerConfig | None = None


_SPEC = msgspec.json.Decoder(Spec)
_PORTS = msgspec.json.Decoder(list[PublishedPort])


def process_of(spec: bytes) -> Process | None:
    """The process of a container's specification; None if it has none or is not valid."""
    try:
        return _SPEC.decode(spec).process if spec else None
    except msgspec.DecodeError:
        return None


def published_ports(label: str) -> list[PublishedPort]:
    """The ports of the label `nerdctl/ports`; none if the label has another format."""
    try:
        return _PORTS.decode(label) if label else []
    except msgspec.DecodeError:
        return []
