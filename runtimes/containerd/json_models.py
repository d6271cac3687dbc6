"""Models the JSON that containerd and its clients store, and decodes it.

This is the JSON of image manifests and configurations, of container specifications, and of nerdctl's label for
published ports.
"""

from __future__ import annotations

import msgspec

from core import errors
from runtimes.formats import json_decoder, json_field_types


class Manifest(msgspec.Struct):
    """Models an image manifest (`config`, `layers`), or an index of several manifests (`manifests`)."""

    config: Descriptor | None = None
    layers: list[Descriptor] = []
    manifests: list[Descriptor] = []


class ProcessSpec(msgspec.Struct):
    """Models the process in the OCI specification of a container."""

    args: list[str] | None = None
    terminal: bool = False


class Spec(msgspec.Struct):
    """Models the OCI specification of a container: only the part that Quarterdeck needs."""

    process: ProcessSpec | None = None


class PublishedPort(msgspec.Struct, rename="pascal"):
    """Models one entry of nerdctl's label `nerdctl/ports`."""

    host_port: json_field_types.Int64 = 0
    container_port: json_field_types.Int64 = 0
    protocol: str = "tcp"
    host_ip: str = msgspec.field(name="HostIP", default="")


class Platform(msgspec.Struct):
    """Models the platform of a manifest."""

    os: str = ""
    architecture: str = ""


class Descriptor(msgspec.Struct, rename="camel"):
    """Models a pointer to a blob in the content store. `size`: bytes."""

    digest: str = ""
    size: json_field_types.Int64 = 0
    platform: Platform | None = None


class ContainerConfig(msgspec.Struct):
    """Models the defaults for containers in an image's configuration."""

    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


class ImageConfig(msgspec.Struct):
    """Models an image's configuration: only the parts that Quarterdeck needs."""

    created: str = ""
    config: ContainerConfig | None = None


def process_of(spec: bytes) -> ProcessSpec | None:
    """Decodes the process of a container's specification. Returns None if it has none or is not valid."""
    if not spec:
        return None
    try:
        return json_decoder.decode_json(Spec, spec).process
    except errors.InvalidResponse:
        return None


def published_ports(label: str) -> list[PublishedPort]:
    """Decodes the label `nerdctl/ports`. Returns no ports if the label has another format."""
    if not label:
        return []
    try:
        return json_decoder.decode_rows(PublishedPort, label.encode())
    except errors.InvalidResponse:
        return []
