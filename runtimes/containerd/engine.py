"""containerd behind the port, natively: its gRPC services in, our values out, for the containers of all its namespaces.

A container here is a record and perhaps a task; `namespace/id` is what it is called. Containers of namespaces that
belong to another engine watched on this host (`watched_kinds`: Docker's moby, Kubernetes' k8s.io) are left out and
counted; pause containers are never told of. Events are broadcast to whoever listens and never replayed, so they begin
with the subscription; a subscription is confirmed by nothing, so it counts as standing once later questions on the same
connection are answered. Nothing reconnects.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from google.protobuf.json_format import MessageToDict

from core import errors
from core.model import actions, images, resources, usage
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.events import Event
from core.model.results import Document
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.options import EngineOptions
from runtimes.containerd import client, decode, info, lifecycle, stats
from runtimes.containerd import images as containerd_images
from runtimes.containerd import verbs as containerd_verbs
from runtimes.kernel import procfs
from runtimes.transport import connect, grpc_channel

AT_ONCE = 8
NAMING_PATIENCE = 2.0
ACCESS = "The settings `uid` and `gid` under [grpc] in /etc/containerd/config.toml open it to others."


class _Listed(msgspec.Struct):
    """`processes`: that of each task; `owned`: containers left out, by their engine's kind."""

    rows: list[Container]
    processes: dict[str, int]
    owned: dict[str, int]
    runtimes: collections.Counter[str]


class Containerd(containerd_verbs.Doing):
    """One daemon. `engine_id` is the uuid it keeps beside its data."""

    kind = "containerd"
    alternatives: ClassVar[Mapping[str, str]] = {
        "container.logs": "It keeps no output of its containers: what started them does (nerdctl logs, the kubelet's"
        " CRI, Docker); watch that engine too.",
        "event.list": "It remembers no events; what Quarterdeck saw of it itself is told.",
        "image.push": "Its clients send images themselves: nerdctl push, ctr images push.",
        "container.healthcheck": "It has no health checks; run the check's command with exec.",
        "service.list": "It knows no services; containers of a compose project carry its labels.",
        "service.scale": "It knows no services; start or stop containers one by one.",
        "pod.list": "Pods are the CRI's: watch that engine (kind cri) at the same socket.",
        "network.list": "Networks are made by its clients, through CNI.",
        "volume.list": "Volumes are its clients' (nerdctl volume ls).",
    }

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._line = grpc_channel.GrpcChannel(url, engine=str(self._ref), access=ACCESS)
        self._calls = client.Calls(self._line)
        self._left_out = {space: kind for space, kind in decode.OWNERS.items() if kind in options.watched_kinds}
        self._dialect = decode.Decoder(self._ref, left_out=frozenset(self._left_out))
        self._images = containerd_images.Images(self._calls, self._ref)
        self._meter = stats.Meter(self._calls)
        self._one_host = False
        self._fetches = True  # until it is known not to

    @property
    def verbs(self) -> frozenset[str]:
        """Without fetching images where this version leaves that to its clients."""
        return super().verbs if self._fetches else super().verbs - {images.PullImage.verb}

    async def aclose(self) -> None:
        await super().aclose()
        self._meter.close()
        await self._line.aclose()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        return Containers(rows=tuple((await self._list(seconds)).rows))

    @does(resources.ListNamespaces)
    async def list_namespaces(self, action: resources.ListNamespaces, seconds: float) -> resources.Namespaces:
        await self._identify(seconds)

        async def one(space: Any) -> resources.Namespace:
            held, named = await asyncio.gather(
                self._calls.containers(space.name, seconds), self._calls.images(space.name, seconds)
            )
            return resources.Namespace(
                name=space.name,
                containers=sum(not self._dialect.is_sandbox(each.labels) for each in held),
                images=len({image.target.digest for image in named}),
                labels=dict(space.labels),
                owner=decode.OWNERS.get(space.name, ""),
            )

        spaces = await self._calls.namespaces(seconds)
        return resources.Namespaces(rows=tuple(await client.few_at_once(*(one(space) for space in spaces))))

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        told = Engine(
            ref=self.ref, address=str(self._line.endpoint), verbs=tuple(sorted(self.verbs)), events="broadcast"
        )
        try:
            await self._identify(seconds)
            listed, plugins, server = await asyncio.gather(
                self._list(seconds), self._calls.plugins(seconds), self._calls.server(seconds)
            )
        except errors.EngineError as error:
            return msgspec.structs.replace(told, fault=error.full_message())
        running = sum(row.state in ("running", "paused") for row in listed.rows)
        return msgspec.structs.replace(
            told,
            ref=self.ref,
            verbs=tuple(sorted(self.verbs)),
            version=self.version,
            api="v1",
            system=info.system(plugins),
            storage=info.snapshotter(plugins),
            cgroup=procfs.cgroup_version(),
            runtime=listed.runtimes.most_common(1)[0][0] if listed.runtimes else "io.containerd.runc.v2",
            containers=len(listed.rows),
            running=running,
            owned=tuple(sorted(listed.owned.items())),
            notes=info.notes(plugins, server.deprecations),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        await self._identify(seconds)
        version, server, plugins, spaces = await asyncio.gather(
            self._calls.version(seconds),
            self._calls.server(seconds),
            self._calls.plugins(seconds),
            self._calls.namespaces(seconds),
        )
        return Document(
            ref=action.targets()[0],
            data={
                "Version": version,
                "Server": MessageToDict(server),
                "Namespaces": [MessageToDict(space) for space in spaces],
                "Plugins": [MessageToDict(plugin) for plugin in plugins],
            },
        )

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        await self._identify(seconds)
        space, name = decode.split(action.target.id)
        if not space:
            raise lifecycle.gone(action.target)
        try:
            held, task = await asyncio.gather(
                self._calls.container(space, name, seconds), self._calls.task(space, name, seconds)
            )
        except errors.NotFound as error:
            raise lifecycle.gone(action.target) from error
        data = info.document(space, held, task)
        redact_json.mask_env_values(data)
        return Document(ref=action.target, data=data)

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Looks at each id, a few at once; None where it is gone. `deadline`: seconds for all of them."""
        await self._identify(deadline)

        async def one(thing: str) -> tuple[str, Container | None]:
            space, name = decode.split(thing)
            if not space:
                return thing, None
            try:
                held, task = await asyncio.gather(
                    self._calls.container(space, name, deadline), self._calls.task(space, name, deadline)
                )
            except errors.NotFound:
                return thing, None
            return thing, self._row(space, held, task)

        async with asyncio.timeout(deadline):
            return dict(await client.few_at_once(*(one(thing) for thing in ids)))

    @does(usage.ReadUsage)
    async def read_usage(self, action: usage.ReadUsage, seconds: float) -> usage.Usages:
        ends = time.monotonic() + seconds
        listed = await self._list(seconds)
        running = {
            row.ref: listed.processes.get(row.ref.id, 0)
            for row in listed.rows
            if row.state in ("running", "paused") and (not action.only or row.ref.id in action.only)
        }
        rows = await self._meter.read(running, max(0.05, ends - time.monotonic()), here=self._one_host)
        return usage.Usages(rows=tuple(rows))

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        await self._identify(10.0, again=True)
        heard = self._calls.events()
        following = asyncio.ensure_future(anext(heard, None))
        try:
            # Whoever answers these took the subscription first: it came on the same connection.
            for _ in range(2):
                await self._calls.version(10.0)
            yield ()
            while (envelope := await following) is not None:
                following = asyncio.ensure_future(anext(heard, None))
                if self._dialect.concerns(envelope):
                    if (stranger := self._dialect.stranger(envelope)) is not None:
                        await self._introduce(*stranger)
                    if (event := self._dialect.event(envelope)) is not None:
                        yield (event,)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await heard.aclose()  # type: ignore[attr-defined]

    async def _introduce(self, space: str, name: str) -> None:
        """Learns what a container is called before anything is told of it; one that is gone goes by its id."""
        with contextlib.suppress(errors.QuarterdeckError):
            held = await self._calls.container(space, name, NAMING_PATIENCE)
            self._dialect.learn(space, name, held.labels)

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _list(self, seconds: float) -> _Listed:
        await self._identify(seconds)
        found = _Listed(rows=[], processes={}, owned={}, runtimes=collections.Counter())

        async def one(space: str) -> None:
            owner = self._left_out.get(space)
            if owner is not None:
                held = await self._calls.containers(space, seconds)
                if count := sum(not self._dialect.is_sandbox(each.labels) for each in held):
                    found.owned[owner] = found.owned.get(owner, 0) + count
                return
            held, tasks = await asyncio.gather(
                self._calls.containers(space, seconds), self._calls.tasks(space, seconds)
            )
            for each in held:
                found.runtimes[each.runtime.name] += 1
                self._dialect.learn(space, each.id, each.labels)
                if not self._dialect.is_sandbox(each.labels):
                    found.rows.append(row := self._row(space, each, task := tasks.get(each.id)))
                    if task is not None:
                        found.processes[row.ref.id] = task.pid

        await client.few_at_once(*(one(space.name) for space in await self._calls.namespaces(seconds)))
        return found

    def _row(self, space: str, held: client.Container, task: client.Process | None) -> Container:
        if self._one_host:
            return self._dialect.container(space, held, task, time.time(), began=procfs.start_time)
        return self._dialect.container(space, held, task, time.time())

    async def _ask_identity(self, seconds: float) -> None:
        server, version, plugins = await asyncio.gather(
            self._calls.server(seconds), self._calls.version(seconds), self._calls.plugins(seconds)
        )
        self._register(str(self._line.endpoint), server.uuid, self._ref)
        self.version = version
        self._fetches = containerd_images.fetches(plugins)
        self._one_host = self._sees_its_processes(server.pidns)

    def _sees_its_processes(self, theirs: int) -> bool:
        """Whether the ids of processes it tells are those we see. Up to 1.6 it does not tell where its own are counted;
        then the kernel says who listens at its socket."""
        ours = procfs.pid_namespace()
        if not theirs:
            theirs = procfs.pid_namespace(str(connect.peer_credentials(self._line.endpoint.path)[0])) or 0
        return ours is not None and ours == theirs
