"""Connects Quarterdeck to containerd's native API, and serves the containers of all its namespaces.

A namespace may belong to another engine that is watched on this host, such as Docker's moby or Kubernetes' k8s.io. The
containers of such a namespace are counted but not listed. Pause containers are never listed.

containerd sends events to all subscribers and never repeats them, so an event stream begins with the subscription. The
daemon does not confirm a subscription. So the stream counts as open when the daemon has answered two later requests on
the same connection. This module does not reconnect.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from core import errors, tasks
from core.model import actions, networks_and_volumes, resource_usage
from core.model.container_reads import Processes, ReadProcesses
from core.model.containers import LIVE_STATES, Container, Containers
from core.model.engines import Engine
from core.model.events import Event
from core.model.results import Document
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.containerd import client, decode, decode_info, inspect_summaries, stats, unsupported_verbs
from runtimes.containerd.decode_events import EventDecoder
from runtimes.containerd.disk_use import DiskUseVerbs
from runtimes.containerd.exec import ExecVerbs
from runtimes.containerd.images import ImageVerbs
from runtimes.containerd.update import UpdateVerbs
from runtimes.formats import event_attributes, oci_host_access, protobuf_conversion
from runtimes.kernel import process_list, procfs
from runtimes.registry.remote_image_verbs import RemoteImageVerbs
from runtimes.transport import bounded_protobuf_decoder

NAME_TIMEOUT_SECONDS = 2.0
ROWS_AT_ONCE = 500  # of a list, until the event loop may run
DEFAULT_RUNTIME = "io.containerd.runc.v2"


class Containerd(UpdateVerbs, ExecVerbs, ImageVerbs, DiskUseVerbs, RemoteImageVerbs):
    """Serves all verbs of one containerd daemon at its unix socket."""

    kind = "containerd"
    alternatives: ClassVar[Mapping[str, str]] = unsupported_verbs.ALTERNATIVES

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._events = EventDecoder(self._containers, excluded=self._excluded)
        self._stats = stats.StatsReader(self._client)

    async def aclose(self) -> None:
        await super().aclose()
        self._stats.close()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        return Containers(rows=tuple((await self._list(seconds)).rows))

    @does(networks_and_volumes.ListNamespaces)
    async def list_namespaces(
        self, action: networks_and_volumes.ListNamespaces, seconds: float
    ) -> networks_and_volumes.Namespaces:
        await self._identify(seconds)

        async def one(namespace: Any) -> networks_and_volumes.Namespace:
            containers, images = await asyncio.gather(
                self._client.containers(namespace.name, seconds), self._client.images(namespace.name, seconds)
            )
            return networks_and_volumes.Namespace(
                name=namespace.name,
                containers=_count_without_sandboxes(namespace.name, containers),
                images=len({image.target.digest for image in images}),
                labels=dict(namespace.labels),
                owner=decode.NAMESPACE_OWNERS.get(namespace.name, ""),
            )

        rows = await map_concurrently(one, await self._client.namespaces(seconds))
        return networks_and_volumes.Namespaces(rows=tuple(rows))

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        engine = Engine(
            ref=self.ref, address=str(self._channel.endpoint), verbs=tuple(sorted(self.verbs)), events="broadcast"
        )
        try:
            await self._identify(seconds)
            listed, plugins, server = await asyncio.gather(
                self._list(seconds), self._client.plugins(seconds), self._client.server(seconds)
            )
        except errors.EngineError as error:
            return msgspec.structs.replace(engine, fault=error.full_message())
        return msgspec.structs.replace(
            engine,
            ref=self.ref,
            verbs=tuple(sorted(self.verbs)),
            version=self.version,
            api="v1",
            system=decode_info.format_platform(plugins),
            storage=decode_info.snapshotter(plugins),
            cgroup=procfs.cgroup_version(),
            runtime=listed.runtimes.most_common(1)[0][0] if listed.runtimes else DEFAULT_RUNTIME,
            containers=len(listed.rows),
            running=sum(row.state in LIVE_STATES for row in listed.rows),
            owned=tuple(sorted(listed.excluded.items())),
            notes=decode_info.warning_notes(plugins, server.deprecations),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        await self._identify(seconds)
        version, server, plugins, namespaces = await asyncio.gather(
            self._client.version(seconds),
            self._client.server(seconds),
            self._client.plugins(seconds),
            self._client.namespaces(seconds),
        )
        return Document(
            ref=action.targets()[0],
            data={
                "Version": version,
                "Server": protobuf_conversion.to_dict(server),
                "Namespaces": [protobuf_conversion.to_dict(namespace) for namespace in namespaces],
                "Plugins": [protobuf_conversion.to_dict(plugin) for plugin in plugins],
            },
        )

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        await self._identify(seconds)
        namespace, container_id = decode.split_id(action.target.id)
        if not namespace:
            raise client.gone(action.target)
        try:
            container, task = await self._read_container(namespace, container_id, seconds)
        except errors.NotFound as error:
            raise client.gone(action.target) from error
        data = decode_info.container_document(namespace, container, task)
        redact_json.mask_env_values(data)
        summary = inspect_summaries.summarise_container(data, self._row(namespace, container, task))
        reaches = oci_host_access.find_host_access_of_specification(data.get("spec"))
        return Document(ref=action.target, data=data, summary=summary, reaches=reaches)

    @does(ReadProcesses)
    async def read_processes(self, action: ReadProcesses, seconds: float) -> Processes:
        await self._identify(seconds)
        namespace, container_id = decode.split_id(action.target.id)
        task = await self._client.task(namespace, container_id, seconds) if namespace else None
        found = None
        if task is not None and self._shares_pids:
            found = await asyncio.to_thread(process_list.list_processes_of_container, task.pid)
        if found is None:
            raise process_list.not_visible(action.target, str(self.ref), running=task is not None)
        return found

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Reads these containers. None stands for a container that does not exist. `deadline`: seconds for all of
        them."""
        await self._identify(deadline)

        async def one(full_id: str) -> tuple[str, Container | None]:
            namespace, container_id = decode.split_id(full_id)
            if not namespace:
                return full_id, None
            try:
                container, task = await self._read_container(namespace, container_id, deadline)
            except errors.NotFound:
                return full_id, None
            return full_id, self._row(namespace, container, task)

        async with asyncio.timeout(deadline):
            return dict(await map_concurrently(one, ids))

    @does(resource_usage.ReadUsage)
    async def read_usage(self, action: resource_usage.ReadUsage, seconds: float) -> resource_usage.Usages:
        deadline = time.monotonic() + seconds
        listed = await self._list(seconds)
        running = {
            row.ref: listed.pids.get(row.ref.id, 0)
            for row in listed.rows
            if row.state in LIVE_STATES and (not action.only or row.ref.id in action.only)
        }
        left = max(0.05, deadline - time.monotonic())
        return resource_usage.Usages(rows=tuple(await self._stats.read(running, left, local_pids=self._shares_pids)))

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        await self._identify(10.0, again=True)
        stream = self._client.events()
        following = tasks.start_awaited("next_event", _next_event(stream))
        try:
            # The daemon has received the subscription before these, since they use the same connection.
            for _ in range(2):
                await self._client.version(10.0)
            yield ()
            while (envelope := await following) is not None:
                following = tasks.start_awaited("next_event", _next_event(stream))
                if self._events.is_relevant(envelope):
                    unknown, labels = self._events.unknown_container(envelope), None
                    if unknown is not None:
                        labels = await self._read_labels(*unknown)
                    if (event := self._events.decode(envelope)) is not None:
                        yield (event if labels is None else msgspec.structs.replace(event, labels=labels),)
        finally:
            following.cancel()
            await asyncio.wait([following])
            await stream.aclose()  # type: ignore[attr-defined]

    async def _read_labels(self, namespace: str, container_id: str) -> dict[str, str] | None:
        """Reads a container's name and labels before its event is decoded. If that fails, the event has its id as the
        name, and None is returned."""
        try:
            container = await self._client.container(namespace, container_id, NAME_TIMEOUT_SECONDS)
        except errors.QuarterdeckError:
            return None
        self._containers.cache_labels(namespace, container_id, container.labels)
        return event_attributes.labels(container.labels)

    # ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _list(self, seconds: float) -> _Listing:
        await self._identify(seconds)
        listing = _Listing(rows=[], pids={}, excluded={}, runtimes=collections.Counter())

        async def one(namespace: Any) -> None:
            owner = self._excluded.get(namespace.name)
            if owner is not None:
                containers = await self._client.containers(namespace.name, seconds)
                if count := _count_without_sandboxes(namespace.name, containers):
                    listing.excluded[owner] = listing.excluded.get(owner, 0) + count
                return
            containers, tasks = await asyncio.gather(
                self._client.containers(namespace.name, seconds), self._client.tasks(namespace.name, seconds)
            )
            for number, container in enumerate(containers, 1):
                if number % ROWS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if len(listing.rows) >= bounded_protobuf_decoder.MAX_ROWS:
                    raise errors.InvalidResponse(
                        f"{self.ref} has more than {bounded_protobuf_decoder.MAX_ROWS:,} containers in its namespaces.",
                        hint=bounded_protobuf_decoder.HINT,
                    )
                listing.runtimes[container.runtime.name] += 1
                self._containers.cache_labels(namespace.name, container.id, container.labels)
                if not decode.is_sandbox(namespace.name, container.labels):
                    task = tasks.get(container.id)
                    listing.rows.append(row := self._row(namespace.name, container, task))
                    if task is not None:
                        listing.pids[row.ref.id] = task.pid

        await map_concurrently(one, await self._client.namespaces(seconds))
        return listing

    async def _read_container(
        self, namespace: str, container_id: str, seconds: float
    ) -> tuple[client.Container, client.Process | None]:
        return await asyncio.gather(
            self._client.container(namespace, container_id, seconds),
            self._client.task(namespace, container_id, seconds),
        )

    def _row(self, namespace: str, container: client.Container, task: client.Process | None) -> Container:
        if self._shares_pids:
            return self._containers.row(
                namespace, container, task, time.time(), process_started_at=procfs.process_start_time
            )
        return self._containers.row(namespace, container, task, time.time())


class _Listing(msgspec.Struct):
    """`pids`: the task's process, by full id; `excluded`: how many containers were left out, by their engine's kind."""

    rows: list[Container]
    pids: dict[str, int]
    excluded: dict[str, int]
    runtimes: collections.Counter[str]


def _count_without_sandboxes(namespace: str, containers: Sequence[client.Container]) -> int:
    return sum(not decode.is_sandbox(namespace, container.labels) for container in containers)


async def _next_event(stream: AsyncIterator[Any]) -> Any:
    """Returns None at the end of the stream."""
    return await anext(stream, None)
