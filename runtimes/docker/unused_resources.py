"""Finds the resources that no running container of a Docker daemon uses: stopped containers, networks, local volumes
and images. Also finds and removes its build cache.

The daemon's lists show which containers use which resources. Networks of a Swarm and the daemon's own networks are
never unused, because other nodes or the daemon itself use them.
"""

from __future__ import annotations

import abc
import re
import time
import urllib.parse
from collections.abc import Collection, Sequence

import msgspec

from core.model.background_jobs import JobStarted
from core.model.prune import CacheRecord, Prune, PruneBuildCache, UnusedResource
from core.model.refs import EngineRef, Kind, Ref
from runtimes.base.base_adapter import does
from runtimes.docker.client import EngineClient
from runtimes.docker.using_containers import UsingContainer
from runtimes.docker_like import unused_resources
from runtimes.docker_like.client import seconds_left
from runtimes.docker_like.decode import NO_NAME
from runtimes.docker_like.json_models import Image
from runtimes.docker_like.unused_resources import ResourceUsers, Sizes
from runtimes.formats import json_decoder, json_field_types, skipped_data, timestamps

OWN_NETWORKS = frozenset({"bridge", "host", "none", "nat", "docker_gwbridge", "ingress"})
ANONYMOUS = "com.docker.volume.anonymous"
_ANONYMOUS_NAME = re.compile(r"[0-9a-f]{64}")  # before Docker 23, which sets the label
# In any other state, also in one that cannot be read, a container counts as running.
STOPPED = ("created", "exited", "dead")


class UnusedVerbs(EngineClient, unused_resources.UnusedVerbs, abc.ABC):
    """Serves the prune verbs for Docker."""

    async def _candidates(self, kinds: Collection[Kind], sizes: Sizes, ends: float) -> Sequence[UnusedResource]:
        containers = await self._rows(UsingContainer, "/containers/json?all=1", ends, whole=True)
        users = unused_resources.ResourceUsers()
        for row in containers:
            users.add(row.id, row.used(), stopped=row.state in STOPPED)
        found: list[UnusedResource | None] = []
        if Kind.CONTAINER in kinds:
            found += [_container(row, self._ref, sizes) for row in containers if row.state in STOPPED]
        if Kind.NETWORK in kinds:
            found += [_network(row, self._ref, users) for row in await self._rows(_Network, "/networks", ends)]
        if Kind.VOLUME in kinds:
            response = await self._request("GET", "/volumes", seconds_left(ends))
            left_out = skipped_data.Tally(self.skipped)
            volumes = json_decoder.decode_json(_Volumes, response.body, left_out).volumes or []
            self._check_complete(left_out)
            found += [_volume(row, self._ref, users, sizes) for row in volumes]
        if Kind.IMAGE in kinds:
            found += [_image(row, self._ref, users, sizes) for row in await self._rows(Image, "/images/json", ends)]
        return [row for row in found if row is not None]

    def _decode_sizes(self, body: bytes) -> Sizes:
        report = json_decoder.decode_json(_DiskReport, body, self.skipped)
        return Sizes(
            containers={row.id: max(0, row.written) for row in report.containers or ()},
            images={row.id: max(0, row.size - max(0, row.shared)) for row in report.images or ()},
            volumes={row.name: row.usage.size for row in report.volumes or () if row.usage and row.usage.size >= 0},
            cache=tuple(
                CacheRecord(
                    size=max(0, row.size),
                    used_at=timestamps.parse_seconds(row.used or "") or timestamps.parse_seconds(row.created) or 0.0,
                )
                for row in report.cache or ()
                if not row.in_use and not row.shared  # a shared record is a part of another one
            ),
        )

    @does(PruneBuildCache)
    async def prune_build_cache(self, action: PruneBuildCache, seconds: float) -> JobStarted:
        return self._start_prune(action)

    async def _remove_cache(self, action: Prune, seconds: float) -> int:
        # Only a span is understood by every version, so it is counted from the question on.
        unused = max(0.001, time.time() - action.cache_used_before)
        filters = urllib.parse.quote(msgspec.json.encode({"until": [f"{unused:.3f}s"]}).decode())
        path = f"/build/prune?all={'true' if action.whole_cache else 'false'}&filters={filters}"
        response = await self._request("POST", path, seconds)
        return max(0, json_decoder.decode_json(_CachePruned, response.body, self.skipped).reclaimed)


# ── what the daemon sends ────────────────────────────────────────────────────────────────────────────────────────


class _Network(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name", default="")
    driver: str = msgspec.field(name="Driver", default="")
    scope: str = msgspec.field(name="Scope", default="")
    ingress: bool = msgspec.field(name="Ingress", default=False)
    config_only: bool = msgspec.field(name="ConfigOnly", default=False)
    created: str = msgspec.field(name="Created", default="")


class _Volume(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    driver: str = msgspec.field(name="Driver", default="")
    created: str = msgspec.field(name="CreatedAt", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


class _Volumes(msgspec.Struct):
    volumes: list[_Volume] | None = msgspec.field(name="Volumes", default=None)


class _ContainerSize(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    written: json_field_types.Int64 = msgspec.field(name="SizeRw", default=0)


class _ImageSize(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)
    shared: json_field_types.Int64 = msgspec.field(name="SharedSize", default=-1)


class _VolumeUsage(msgspec.Struct):
    size: json_field_types.Int64 = msgspec.field(name="Size", default=-1)


class _VolumeSize(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    usage: _VolumeUsage | None = msgspec.field(name="UsageData", default=None)


class _BuildRecord(msgspec.Struct):
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)
    in_use: bool = msgspec.field(name="InUse", default=False)
    shared: bool = msgspec.field(name="Shared", default=False)
    created: str = msgspec.field(name="CreatedAt", default="")
    used: str | None = msgspec.field(name="LastUsedAt", default=None)


class _CachePruned(msgspec.Struct):
    reclaimed: json_field_types.Int64 = msgspec.field(name="SpaceReclaimed", default=0)


class _DiskReport(msgspec.Struct):
    """Models the answer to `/system/df`."""

    containers: list[_ContainerSize] | None = msgspec.field(name="Containers", default=None)
    images: list[_ImageSize] | None = msgspec.field(name="Images", default=None)
    volumes: list[_VolumeSize] | None = msgspec.field(name="Volumes", default=None)
    cache: list[_BuildRecord] | None = msgspec.field(name="BuildCache", default=None)


# ── what it means ────────────────────────────────────────────────────────────────────────────────────────────────


def _container(row: UsingContainer, engine: EngineRef, sizes: Sizes) -> UnusedResource:
    return UnusedResource(
        ref=row.ref(engine),
        size=sizes.containers.get(row.id),
        created_at=float(row.created),
        detail=row.status or row.state,
    )


def _network(row: _Network, engine: EngineRef, users: ResourceUsers) -> UnusedResource | None:
    using = users.find(f"network {row.id}", f"network {row.name}")
    if using is None or row.scope != "local" or row.ingress or row.config_only or row.name in OWN_NETWORKS:
        return None
    ref = Ref(engine=engine, kind=Kind.NETWORK, id=row.id, name=row.name)
    return UnusedResource(
        ref=ref, users=using, created_at=timestamps.parse_seconds(row.created) or 0.0, detail=row.driver
    )


def _volume(row: _Volume, engine: EngineRef, users: ResourceUsers, sizes: Sizes) -> UnusedResource | None:
    using = users.find(f"volume {row.name}")
    if using is None or row.driver != "local":
        return None
    anonymous = ANONYMOUS in (row.labels or {}) or _ANONYMOUS_NAME.fullmatch(row.name) is not None
    return UnusedResource(
        ref=Ref(engine=engine, kind=Kind.VOLUME, id=row.name, name=row.name),
        users=using,
        spare=anonymous,
        size=sizes.volumes.get(row.name),
        created_at=timestamps.parse_seconds(row.created) or 0.0,
        detail="anonymous" if anonymous else "named",
    )


def _image(row: Image, engine: EngineRef, users: ResourceUsers, sizes: Sizes) -> UnusedResource | None:
    names = tuple(tag for tag in row.tags or () if tag not in NO_NAME)
    digests = tuple(one for one in row.digests or () if one not in NO_NAME)
    using = users.find(f"image {row.id}", *(f"image {name}" for name in (*names, *digests)))
    if using is None:
        return None
    short = row.id.rpartition(":")[2][:12]
    return UnusedResource(
        ref=Ref(engine=engine, kind=Kind.IMAGE, id=row.id, name=names[0] if names else short),
        users=using,
        spare=not names,
        size=sizes.images.get(row.id, row.size),
        created_at=float(row.created),
        names=(*names, *digests),
        detail="" if names else "without a tag",
    )
