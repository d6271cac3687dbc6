"""Connects Quarterdeck to an engine with CRI v1: to CRI-O, or to containerd on a Kubernetes node.

The kubelet decides which containers and pods exist. The kubelet replaces a stopped container with a new one, and
creates removed containers again. CRI has no restart, no pause and no signals; `unsupported_verbs` lists what to do
instead.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar, cast

import msgspec

from core import errors
from core.model import actions, event_actions, resource_usage
from core.model.container_reads import Processes, ReadProcesses
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.events import Event, EventList
from core.model.results import Document
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.base.multi_request_change import MIN_SECONDS
from runtimes.cri import (
    client,
    decode,
    decode_info,
    decode_stats,
    event_stream,
    events,
    inspect_summaries,
    unsupported_verbs,
)
from runtimes.cri.disk_use import DiskUseVerbs
from runtimes.cri.exec import ExecVerbs
from runtimes.cri.images import ImageVerbs
from runtimes.cri.logs import LogVerbs
from runtimes.cri.pods import PodVerbs
from runtimes.cri.update import UpdateVerbs
from runtimes.formats import oci_host_access
from runtimes.kernel import process_list, procfs
from runtimes.proto import cri_pb2 as cri
from runtimes.registry.remote_image_verbs import RemoteImageVerbs

FIRST_BROADCAST_MAJOR = 2  # of containerd
STATS_TRIES, STATS_PAUSE_SECONDS = 5, 0.05  # to read the usage while containers are removed


class Cri(LogVerbs, ExecVerbs, ImageVerbs, PodVerbs, UpdateVerbs, DiskUseVerbs, RemoteImageVerbs):
    """Serves all verbs of one CRI engine at its unix socket."""

    alternatives: ClassVar[Mapping[str, str]] = unsupported_verbs.ALTERNATIVES

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._usage = decode_stats.UsageDecoder()
        self._watch = events.EventWatch(self._snapshot, self._set_stream_enabled)
        self._stream_enabled: bool | None = None  # None until it was tried

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        return Containers(rows=(await self._snapshot(seconds)).rows())

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Reads these containers. None stands for a container that does not exist. `deadline`: seconds for all of
        them."""
        snapshot = await self._snapshot(deadline)
        records = {container_id: snapshot.containers.get(container_id) for container_id in ids}
        return {container_id: snapshot.row(record) if record else None for container_id, record in records.items()}

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        engine = Engine(ref=self.ref, address=str(self._channel.endpoint), verbs=tuple(sorted(self.verbs)))
        try:
            await self._identify(seconds)
            status, snapshot, streams, storage = await asyncio.gather(
                self._request("Status", cri.StatusRequest(verbose=True), cri.StatusResponse, seconds),
                self._snapshot(seconds),
                self._has_event_stream(),
                self._storage(seconds),
            )
        except errors.EngineError as error:
            return msgspec.structs.replace(engine, fault=error.full_message())
        return msgspec.structs.replace(
            engine,
            version=self.version,
            api=self.api,
            system=f"{platform.system().lower()}/{platform.machine()}",
            # CRI reports the cgroup driver but not the version. An engine at a unix socket shares this kernel.
            cgroup=procfs.cgroup_version(),
            containers=len(snapshot.containers),
            running=sum(record.state == decode.RUNNING for record in snapshot.containers.values()),
            events="broadcast" if streams else "polled",
            notes=decode_info.condition_notes(status.status),
            **{"storage": storage, **decode_info.storage_and_runtime(status)},
        )

    async def _storage(self, seconds: float) -> str:
        """Returns the storage driver; empty if the engine does not report where it stores images. containerd 2 reports
        the driver in no other place."""
        try:
            found = await self._request("ImageFsInfo", cri.ImageFsInfoRequest(), cri.ImageFsInfoResponse, seconds)
        except (errors.Unsupported, errors.Rejected, errors.NotFound):
            return ""
        return decode_info.storage_of_mountpoints(found)

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        version, status = await asyncio.gather(
            self._request("Version", cri.VersionRequest(), cri.VersionResponse, seconds),
            self._request("Status", cri.StatusRequest(verbose=True), cri.StatusResponse, seconds),
        )
        ref = action.targets()[0]
        data = decode_info.make_masked_document(version, {}) | decode_info.make_masked_document(status, status.info)
        try:
            config = await self._request(
                "RuntimeConfig", cri.RuntimeConfigRequest(), cri.RuntimeConfigResponse, seconds
            )
        except errors.Unsupported:  # older than Kubernetes 1.28
            return Document(ref=ref, data=data)
        driver = decode_info.CGROUP_DRIVERS.get(config.linux.cgroup_driver, str(config.linux.cgroup_driver))
        return Document(ref=ref, data={**data, "cgroup_driver": driver})

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        found = await self._container_status(action.target, seconds, verbose=True)
        data = decode_info.make_masked_document(found.status, found.info)
        summary = inspect_summaries.summarise_container(data)
        reaches = oci_host_access.find_host_access_of_specification(inspect_summaries.specification(data))
        return Document(ref=action.target, data=data, summary=summary, reaches=reaches)

    @does(ReadProcesses)
    async def read_processes(self, action: ReadProcesses, seconds: float) -> Processes:
        """CRI does not list processes. Those of an engine on this machine are in /proc."""
        status = await self._container_status(action.target, seconds, verbose=True)
        pid = inspect_summaries.process_id(decode_info.make_masked_document(status.status, status.info))
        found = None
        if pid and process_list.belongs_to(pid, action.target.id):
            found = await asyncio.to_thread(process_list.list_processes_of_container, pid)
        if found is None:
            running = status.status.state == decode.RUNNING
            raise process_list.not_visible(action.target, str(self.ref), running=running)
        return found

    @does(resource_usage.ReadUsage)
    async def read_usage(self, action: resource_usage.ReadUsage, seconds: float) -> resource_usage.Usages:
        found, snapshot = await asyncio.gather(self._read_stats(seconds), self._snapshot(seconds))
        if self._usage.begin(snapshot, found.stats):  # the first reading has nothing to be compared with
            await asyncio.sleep(decode_stats.MIN_INTERVAL_NS / 1e9)
            found = await self._read_stats(seconds)
        return self._usage.decode(snapshot, found.stats, action.only)

    async def _read_stats(self, seconds: float) -> cri.ListContainerStatsResponse:
        """Reads the usage of all containers in one response. containerd refuses it if one of them is removed at the
        same time; then it is asked again."""
        ends, refused, response = time.monotonic() + seconds, 0, cri.ListContainerStatsResponse
        while True:
            left = max(MIN_SECONDS, ends - time.monotonic())
            try:
                found = await self._request("ListContainerStats", cri.ListContainerStatsRequest(), response, left)
                return cast(cri.ListContainerStatsResponse, found)
            except errors.NotFound:
                refused += 1
                if refused == STATS_TRIES:
                    raise
            await asyncio.sleep(STATS_PAUSE_SECONDS)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    @does(event_actions.ListEvents)
    async def list_events(self, action: event_actions.ListEvents, seconds: float) -> EventList:
        """Derives past events from the containers that still exist, because CRI engines store no events."""
        return action.select(events.replay(await self._snapshot(seconds), action.since_ns))

    async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        await self._identify(10.0, again=True)
        stream = None
        if self._has_broadcast:
            stream, self._stream_enabled = event_stream.EventStream(self._channel, f"cri_events {self.ref}"), None
        try:
            async for batch in self._watch.events(stream, since_ns):
                yield batch
        finally:
            if stream is not None:
                await stream.aclose()

    def _set_stream_enabled(self, enabled: bool) -> None:
        self._stream_enabled = enabled

    async def _has_event_stream(self) -> bool:
        if not self._has_broadcast:
            return False
        if self._stream_enabled is None:
            self._stream_enabled = await event_stream.stream_enabled(self._channel)
        return self._stream_enabled

    @property
    def _has_broadcast(self) -> bool:
        """Whether the engine sends each event to every listener. containerd 1.7 deals them out, which would take them
        away from the kubelet."""
        return self.engine_name == client.CRIO or (
            self.engine_name == client.CONTAINERD and self.major >= FIRST_BROADCAST_MAJOR
        )
