"""Images of containerd: names in a namespace, and what they lead to in its content store.

A name leads to a manifest, or to an index of one for each platform; an image's id is `namespace/digest` of that, so
names that share it are one image. Sizes, dates and labels stand in the store, under digests that never change: they are
read once and remembered. From 1.7 on the daemon fetches images itself (Transfer); before, only its clients do.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
from google.protobuf import any_pb2, empty_pb2

from core import errors
from core.model.images import Image
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.containerd import client, decode, info
from runtimes.containerd.client import Calls
from runtimes.containerd.lifecycle import NOT_NOW, Steps
from runtimes.formats import decoding, image_reference, timestamps
from runtimes.proto import (
    containerd_daemon_pb2,
    containerd_streaming_pb2,
    containerd_transfer_pb2,
    containerd_transfer_types_pb2,
    containerd_types_pb2,
)

REMEMBERED = 1024
PULLED_INTO = "default"
SHORT = 12
TRANSFER = "/containerd.services.transfer.v1.Transfer/Transfer"
STREAM = "/containerd.services.streaming.v1.Streaming/Stream"
HOSTS = "/etc/containerd/certs.d"  # where its settings of registries are
NO_TRANSFER = "Until 1.7 its clients fetch images themselves: nerdctl pull, ctr images pull, or the kubelet by CRI."
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class _Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""


class _Part(msgspec.Struct, rename="camel"):
    digest: str = ""
    size: int = 0
    platform: _Platform | None = None


class _Manifest(msgspec.Struct):
    """An image's manifest, or an index of several."""

    config: _Part | None = None
    layers: list[_Part] = []
    manifests: list[_Part] = []


class _Inner(msgspec.Struct):
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Config(msgspec.Struct):
    created: str = ""
    config: _Inner | None = None


class _Known(msgspec.Struct):
    """What its manifest and configuration tell."""

    size: int = 0
    created_at: float = 0.0
    labels: dict[str, str] = {}


class Images:
    def __init__(self, calls: Calls, engine: EngineRef) -> None:
        self._calls = calls
        self._engine = engine
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def rows(self, space: str, seconds: float) -> Sequence[Image]:
        named, held = await asyncio.gather(self._calls.images(space, seconds), self._calls.containers(space, seconds))
        groups: dict[str, list[client.Image]] = {}
        for image in named:
            groups.setdefault(image.target.digest, []).append(image)
        used = [each.image for each in held if each.labels.get(decode.SANDBOX[0]) != "sandbox"]
        gate = asyncio.Semaphore(8)

        async def one(digest: str, alike: Sequence[client.Image]) -> Image:
            async with gate:
                known = await self._describe(space, digest, seconds)
            names = [image.name for image in alike]
            tags, digests = _sorted_names(names, digest)
            labels = {**known.labels, decode.NAMESPACE_LABEL: space}
            return Image(
                ref=self._ref(space, digest, tags[0] if tags else digest.partition(":")[2][:SHORT]),
                tags=tuple(tags),
                digests=tuple(digests),
                size=known.size,
                created_at=known.created_at or alike[0].created_at.ToNanoseconds() / 1e9,
                labels=labels,
                containers=sum(name in names for name in used),
            )

        return await asyncio.gather(*(one(digest, alike) for digest, alike in groups.items()))

    async def document(self, target: Ref, seconds: float) -> dict[str, Any]:
        space, digest, alike = await self._find(target, seconds)
        manifest = await self._manifest(space, digest, seconds)
        config: Any = None
        if manifest.config is not None:
            config = decoding.document(await self._calls.blob(space, manifest.config.digest, seconds))
        return {
            "namespace": space,
            "names": [image.name for image in alike],
            "target": {
                "digest": digest,
                "mediaType": alike[0].target.media_type,
                "size": alike[0].target.size,
            },
            "labels": {key: value for image in alike for key, value in image.labels.items()},
            "manifest": msgspec.to_builtins(manifest),
            "image": config,
        }

    async def tag(self, target: Ref, tag: str, seconds: float) -> Outcome:
        steps = Steps(seconds)
        space, _, alike = await self._looked(steps, target)
        name = in_full(tag)
        if any(image.name == name for image in alike):
            return steps.nothing("has that name already")
        made = client.Image(name=name, labels=alike[0].labels, target=alike[0].target)
        await steps.change(self._calls.name_image(space, made, steps.left))
        return steps.done(name)

    async def remove(self, target: Ref, *, force: bool, seconds: float) -> Outcome:
        steps = Steps(seconds)
        space, digest, alike = await self._looked(steps, target)
        names = [image.name for image in alike]
        tags, _ = _sorted_names(names, digest)
        gone = [target.name] if target.name in names and len(tags) > 1 else names
        held, tasks = await asyncio.gather(
            steps.look(self._calls.containers(space, steps.left)), steps.look(self._calls.tasks(space, steps.left))
        )
        for each in held:
            task = tasks.get(each.id)
            up = task is not None and decode.STATES.get(task.status) in ("running", "paused")
            if each.image in gone and (up or not force):
                called = self._called(each)
                raise errors.Rejected(
                    NOT_NOW,
                    f"{target.name} is in use: {called} {'runs' if up else 'is made'} of it"
                    + ("." if up else "; remove that, or use force."),
                )
        for name in gone:
            await steps.change(self._calls.delete_image(space, name, steps.left))
        stay = [name for name in names if name not in gone]
        return steps.done(f"it stays as {', '.join(stay[:4])}" if stay else "")

    async def prepare_pull(self, name: str, seconds: float) -> Callable[[Job, float], Awaitable[Outcome]]:
        """Raises Unsupported where the daemon does not fetch images, and BadUsage for what is no name."""
        name = in_full(name)
        plugins = await self._calls.plugins(seconds)
        if not fetches(plugins):
            raise errors.Unsupported("image.pull", str(self._engine), NO_TRANSFER)
        place = info.snapshotter(plugins)
        return lambda job, timeout: self._pull(name, place, job, timeout)

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _pull(self, name: str, snapshotter: str, job: Job, timeout: float) -> Outcome:
        began = time.monotonic()
        kind = containerd_types_pb2.Platform(os="linux", architecture=_architecture())
        resolver = containerd_transfer_types_pb2.RegistryResolver(host_dir=HOSTS)
        if _loopback(name):
            resolver.default_scheme = "http"  # as Docker and nerdctl take a registry on this machine
        source = containerd_transfer_types_pb2.OCIRegistry(reference=name, resolver=resolver)
        store = containerd_transfer_types_pb2.ImageStore(name=name, platforms=[kind])
        store.unpacks.add(platform=kind, snapshotter=snapshotter)
        stream = f"quarterdeck-{job.id}"
        request = containerd_transfer_pb2.TransferRequest(source=_packed(source), destination=_packed(store))
        request.options.progress_stream = stream
        before = await self._digest(name)
        standing = asyncio.Event()
        telling = asyncio.ensure_future(self._tell(stream, job, timeout, standing))
        telling.add_done_callback(lambda _: standing.set())
        try:
            job.progress(f"fetching {name}")
            # It refuses to tell its progress on a stream it does not know yet.
            await standing.wait()
            await self._calls.line.call(
                TRANSFER,
                request,
                empty_pb2.Empty,
                seconds=timeout,
                metadata=client.within(PULLED_INTO),
            )
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        digest = await self._digest(name)
        same = bool(digest) and digest == before
        return Outcome(
            status=Status.NOOP if same else Status.DONE,
            detail=f"{name} is {'up to date at ' if same else ''}{digest}",
            took=time.monotonic() - began,
        )

    async def _digest(self, name: str) -> str:
        found = await self._calls.images(PULLED_INTO, 10.0)
        return next((image.target.digest for image in found if image.name == name), "")

    async def _tell(self, stream: str, job: Job, timeout: float, standing: asyncio.Event) -> None:
        opened = _packed(containerd_streaming_pb2.StreamInit(id=stream))
        parts: dict[str, tuple[int, int]] = {}
        told = self._calls.line.stream(
            STREAM, (opened,), any_pb2.Any, metadata=client.within(PULLED_INTO), seconds=timeout
        )
        async for message in told:
            standing.set()  # the first one says no more
            if message.type_url.rpartition(".")[2] == "Progress":
                progress = containerd_transfer_types_pb2.Progress.FromString(message.value)
                if progress.total:
                    parts[progress.name] = (progress.progress, progress.total)
                if parts:
                    done, whole = (sum(numbers) for numbers in zip(*parts.values(), strict=True))
                    job.progress(f"{done / 1e6:.1f} of {whole / 1e6:.1f} MB")

    async def _looked(self, steps: Steps, target: Ref) -> tuple[str, str, Sequence[client.Image]]:
        return await steps.look(self._find(target, steps.left))

    async def _find(self, target: Ref, seconds: float) -> tuple[str, str, Sequence[client.Image]]:
        """Its namespace, digest, and all names that lead there."""
        space, digest = decode.split(target.id)
        alike = [image for image in await self._calls.images(space, seconds) if image.target.digest == digest]
        if not (space and alike):
            raise errors.NotFound(f"{target.name} is gone: {self._engine} has no such image.")
        return space, digest, alike

    async def _describe(self, space: str, digest: str, seconds: float) -> _Known:
        known = self._known.get(digest)
        if known is None:
            try:
                known = await self._read(space, digest, seconds)
            except (errors.NotFound, errors.InvalidResponse, errors.Rejected):
                return _Known()  # fetched in part; it may be whole the next time
            self._known[digest] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known

    async def _read(self, space: str, digest: str, seconds: float) -> _Known:
        manifest = await self._manifest(space, digest, seconds)
        if manifest.config is None:
            return _Known(size=sum(layer.size for layer in manifest.layers))
        config = decoding.decode(_Config, await self._calls.blob(space, manifest.config.digest, seconds))
        return _Known(
            size=manifest.config.size + sum(layer.size for layer in manifest.layers),
            created_at=timestamps.seconds(config.created) or 0.0,
            labels=(config.config.labels if config.config else None) or {},
        )

    async def _manifest(self, space: str, digest: str, seconds: float) -> _Manifest:
        manifest = decoding.decode(_Manifest, await self._calls.blob(space, digest, seconds))
        if not manifest.manifests:
            return manifest
        ours = [part for part in manifest.manifests if part.platform and part.platform.architecture == _architecture()]
        # The index lists platforms nobody fetched; ours first, then whatever is there.
        for part in [*ours, *manifest.manifests]:
            try:
                return decoding.decode(_Manifest, await self._calls.blob(space, part.digest, seconds))
            except errors.NotFound:
                continue
        return manifest

    def _ref(self, space: str, digest: str, name: str) -> Ref:
        return Ref(engine=self._engine, kind=Kind.IMAGE, id=f"{space}/{digest}", name=name)

    def _called(self, held: client.Container) -> str:
        return next((held.labels[label] for label in decode.NAME_LABELS if label in held.labels), held.id)


def fetches(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> bool:
    """Whether the daemon fetches images itself, or leaves that to its clients."""
    return any(plugin.type == "io.containerd.grpc.v1" and plugin.id == "transfer" for plugin in plugins)


def in_full(name: str) -> str:
    """`nginx` as `docker.io/library/nginx:latest`, as nerdctl and Docker read it. Raises BadUsage."""
    found = image_reference.parse(name)
    if found.registry:
        return str(found)
    return f"docker.io/{'' if '/' in found.repository else 'library/'}{found}"


def _sorted_names(names: Sequence[str], digest: str) -> tuple[list[str], list[str]]:
    """Tags, and what it is called by its digest. The CRI names images by their configuration's digest alone, too."""
    tags = sorted(name for name in names if "@" not in name and not name.startswith("sha256:"))
    pinned = {f"{image_reference.parse(tag).repository}@{digest}" for tag in tags if _readable(tag)}
    return tags, sorted({name for name in names if "@" in name} | pinned)


def _readable(name: str) -> bool:
    try:
        image_reference.parse(name)
    except errors.BadUsage:
        return False
    return True


def _loopback(name: str) -> bool:
    host = name.partition("/")[0].rpartition(":")[0] or name.partition("/")[0]
    return host in ("localhost", "[::1]") or host.startswith("127.")


def _packed(message: Any) -> any_pb2.Any:
    # Its types have no slash.
    return any_pb2.Any(type_url=message.DESCRIPTOR.full_name, value=message.SerializeToString())


def _architecture() -> str:
    machine = platform.machine()
    return _MACHINES.get(machine, machine)
