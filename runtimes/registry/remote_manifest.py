"""Decodes a registry's documents about an image: an index of platforms, a manifest, a configuration.

The formats are Docker's and OCI's, which have the same fields. Counts are limited, and texts are made printable where
they are shown.
"""

from __future__ import annotations

import platform as machine
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core import errors
from core.model.registry_reads import MAX_PLATFORMS
from runtimes.formats import json_decoder, json_field_types

MAX_LAYERS, MAX_LABELS = 200, 100
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class Platform(msgspec.Struct):
    """Models the platform of an image, such as `linux/arm64/v8`."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def known(self) -> bool:
        """False for what is no image, such as the record of a build."""
        return bool(self.os) and "unknown" not in (self.os, self.architecture)


class Part(msgspec.Struct):
    digest: str = ""
    size: json_field_types.Int64 = 0
    platform: Platform | None = None


class Manifest(msgspec.Struct):
    """Models an index (`manifests`) or a manifest (`config` and `layers`)."""

    manifests: list[Part] | None = None
    config: Part | None = None
    layers: list[Part] | None = None


class ContainerConfig(msgspec.Struct):
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    entrypoint: list[str] | None = msgspec.field(name="Entrypoint", default=None)
    command: list[str] | None = msgspec.field(name="Cmd", default=None)
    ports: dict[str, Any] | None = msgspec.field(name="ExposedPorts", default=None)


class Configuration(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    variant: str = ""
    created: str = ""
    config: ContainerConfig | None = None

    @property
    def platform(self) -> str:
        return str(Platform(os=self.os, architecture=self.architecture, variant=self.variant))


def decode_manifest(body: bytes, name: str) -> Manifest:
    """Decodes an index or a manifest. Raises InvalidResponse for anything else."""
    found = json_decoder.decode_json(Manifest, body)
    if found.manifests is None and found.config is None:
        raise errors.InvalidResponse(
            f"{name} is in a format that Quarterdeck does not support.",
            sent=False,
            hint=f"On a host where skopeo is installed, run: skopeo inspect docker://{name}",
        )
    return found


def choose_platform(parts: Sequence[Part], wanted: str, name: str) -> tuple[Part, tuple[str, ...]]:
    """Returns the part for a platform, and all platforms. Without `wanted` it is that of this machine, else the first.
    Raises NotFound."""
    images = [part for part in parts[:MAX_PLATFORMS] if part.platform is not None and part.platform.known]
    shown = tuple(dict.fromkeys(str(part.platform) for part in images))
    own = f"linux/{ARCHITECTURES.get(machine.machine(), machine.machine())}"
    found = [part for part in images if fits(str(part.platform), wanted or own)]
    if not found and not wanted:
        found = images or list(parts[:1])
    if not found:
        raise errors.NotFound(
            f"{name} has no image for {wanted}.",
            hint=f"Choose a platform that it has: {', '.join(shown)}." if shown else "Leave out --platform.",
        )
    return found[0], shown


def labels_of(configuration: Configuration) -> tuple[tuple[str, str], ...]:
    found: Mapping[str, str] = (configuration.config and configuration.config.labels) or {}
    return tuple(found.items())[:MAX_LABELS]


def fits(platform: str, wanted: str) -> bool:
    return platform == wanted or platform.startswith(f"{wanted}/")
