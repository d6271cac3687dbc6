"""Finds the resources that no running container of a Podman service uses: stopped containers, networks, volumes and
images.

A list of Podman's containers does not name their volumes. So the service itself is asked for the volumes that no
container uses, not even a stopped one. Containers of pods are never unused: a pod starts and ends with all of them.
"""

from __future__ import annotations

import abc
import urllib.parse
from collections.abc import Collection, Sequence

import msgspec

from core.model.prune import UnusedResource
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker_like import unused_resources
from runtimes.docker_like.unused_resources import ResourceUsers, Sizes
from runtimes.formats import json_decoder, json_field_types, timestamps
from runtimes.podman import client, decode

DEFAULT_NETWORK = "podman"
# In any other state, also in one that cannot be read, a container counts as running.
STOPPED = ("created", "exited")
DANGLING = urllib.parse.quote('{"dangling":["true"]}')


class UnusedVerbs(client.EngineClient, unused_resources.UnusedVerbs, abc.ABC):
    """Serves the prune verbs for Podman."""

    async def _candidates(self, kinds: Collection[Kind], sizes: Sizes, ends: float) -> Sequence[UnusedResource]:
        # With those of other programs, such as Buildah's, which use images of the same storage.
        containers = await self._rows(_Container, "/containers/json?all=true&external=true", ends, whole=True)
        users = unused_resources.ResourceUsers()
        for row in containers:
            users.add(row.id, row.used(), stopped=row.stopped)
        found: list[UnusedResource | None] = []
        if Kind.CONTAINER in kinds:
            found += [_container(row, self._ref, sizes) for row in containers if row.stopped and not row.pod]
        if Kind.NETWORK in kinds:
            found += [_network(row, self._ref, users) for row in await self._rows(_Network, "/networks/json", ends)]
        if Kind.VOLUME in kinds:
            volumes = await self._rows(_Volume, f"/volumes/json?filters={DANGLING}", ends)
            found += [_volume(row, self._ref, sizes) for row in volumes if row.driver == "local"]
        if Kind.IMAGE in kinds:
            found += [_image(row, self._ref, users, sizes) for row in await self._rows(_Image, "/images/json", ends)]
        return [row for row in found if row is not None]

    def _decode_sizes(self, body: bytes) -> Sizes:
        report = json_decoder.decode_json(_DiskReport, body, self.skipped)
        return Sizes(
            containers={row.id: max(0, row.written) for row in report.containers or ()},
            images={row.id: max(0, row.unique) for row in report.images or ()},
            volumes={row.name: max(0, row.size) for row in report.volumes or ()},
        )


# ── what the service sends ───────────────────────────────────────────────────────────────────────────────────────


class _Container(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    image: str = msgspec.field(name="Image", default="")
    image_id: str = msgspec.field(name="ImageID", default="")
    state: str = msgspec.field(name="State", default="")
    created: str = msgspec.field(name="Created", default="")
    networks: list[str] | None = msgspec.field(name="Networks", default=None)
    pod: str = msgspec.field(name="Pod", default="")
    exit_code: json_field_types.ExitCode = msgspec.field(name="ExitCode", default=0)

    @property
    def stopped(self) -> bool:
        return decode.STATES.get(self.state.lower()) in STOPPED

    def used(self) -> Sequence[str]:
        networks = [f"network {name}" for name in self.networks or ()]
        return [f"image {self.image_id}", f"image {self.image}", *networks]


class _Network(msgspec.Struct):
    name: str = ""
    id: str = ""
    driver: str = ""
    created: str = ""


class _Volume(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    driver: str = msgspec.field(name="Driver", default="")
    created: str = msgspec.field(name="CreatedAt", default="")
    anonymous: bool = msgspec.field(name="Anonymous", default=False)


class _Image(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    names: list[str] | None = msgspec.field(name="Names", default=None)  # tags, and digests that it was pulled by
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)
    created: json_field_types.UnixSeconds = msgspec.field(name="Created", default=0)


class _ContainerSize(msgspec.Struct):
    id: str = msgspec.field(name="ContainerID", default="")
    written: json_field_types.Int64 = msgspec.field(name="RWSize", default=0)


class _ImageSize(msgspec.Struct):
    id: str = msgspec.field(name="ImageID", default="")
    unique: json_field_types.Int64 = msgspec.field(name="UniqueSize", default=0)


class _VolumeSize(msgspec.Struct):
    name: str = msgspec.field(name="VolumeName", default="")
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)


class _DiskReport(msgspec.Struct):
    """Models the answer to `/system/df`."""

    containers: list[_ContainerSize] | None = msgspec.field(name="Containers", default=None)
    images: list[_ImageSize] | None = msgspec.field(name="Images", default=None)
    volumes: list[_VolumeSize] | None = msgspec.field(name="Volumes", default=None)


# ── what it means ────────────────────────────────────────────────────────────────────────────────────────────────


def _container(row: _Container, engine: EngineRef, sizes: Sizes) -> UnusedResource:
    state = decode.STATES.get(row.state.lower(), row.state)
    return UnusedResource(
        ref=Ref(engine=engine, kind=Kind.CONTAINER, id=row.id, name=(row.names or [""])[0] or row.id[:12]),
        size=sizes.containers.get(row.id),
        created_at=timestamps.parse_seconds(row.created) or 0.0,
        detail=f"{state} ({row.exit_code})" if state == "exited" else state,
    )


def _network(row: _Network, engine: EngineRef, users: ResourceUsers) -> UnusedResource | None:
    using = users.find(f"network {row.name}", f"network {row.id}")
    if using is None or row.name == DEFAULT_NETWORK:
        return None
    ref = Ref(engine=engine, kind=Kind.NETWORK, id=row.id or row.name, name=row.name)
    return UnusedResource(
        ref=ref, users=using, created_at=timestamps.parse_seconds(row.created) or 0.0, detail=row.driver
    )


def _volume(row: _Volume, engine: EngineRef, sizes: Sizes) -> UnusedResource:
    return UnusedResource(
        ref=Ref(engine=engine, kind=Kind.VOLUME, id=row.name, name=row.name),
        spare=row.anonymous,
        size=sizes.volumes.get(row.name),
        created_at=timestamps.parse_seconds(row.created) or 0.0,
        detail="anonymous" if row.anonymous else "named",
    )


def _image(row: _Image, engine: EngineRef, users: ResourceUsers, sizes: Sizes) -> UnusedResource | None:
    tags = [tag for tag in row.tags or () if "<none>" not in tag]
    names = tuple(dict.fromkeys([*tags, *(row.names or ())]))
    using = users.find(f"image {row.id}", *(f"image {name}" for name in names))
    if using is None:
        return None
    return UnusedResource(
        ref=Ref(engine=engine, kind=Kind.IMAGE, id=row.id, name=tags[0] if tags else row.id[:12]),
        users=using,
        spare=not names,
        size=sizes.images.get(row.id, row.size),
        created_at=float(row.created),
        names=names,
        detail="" if tags else "without a tag",
    )
