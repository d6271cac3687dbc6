"""Reads all containers and pods of a CRI engine into a `Snapshot`, with few requests.

A list contains only states. Times, exit codes and image names are in the status of each container. A CRI container runs
only once, so a status is read when the container's state is new, and then cached while the container exists. If nothing
changed, a snapshot costs two requests, however many containers there are. Two snapshots share the same objects for
records that did not change. If a status cannot be read, the record contains only what the list reports.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef, Ref
from runtimes.base.concurrent_map import map_concurrently
from runtimes.cri import decode
from runtimes.cri.decode import ContainerRecord
from runtimes.proto import cri_pb2 as cri

SIGKILLED = 137  # the exit code of a process that SIGKILL ended, as after an out-of-memory kill
OOM_SETTLE_NS = 10_000_000_000  # after such an end, its status is read again until then
ROWS_AT_ONCE = 500  # of a list, until the event loop may run


class SnapshotReader:
    """Reads snapshots of one engine, and caches the records that cannot change any more."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._cache: dict[str, ContainerRecord] = {}
        self._names: dict[str, str] = {}

    async def read(self, engine: EngineRef, seconds: float) -> Snapshot:
        """Reads a new snapshot. `seconds`: the timeout of all requests together. Raises EngineErrors."""
        deadline, at_ns = time.monotonic() + seconds, time.time_ns()
        listed, pods = await asyncio.gather(
            self._request("ListContainers", cri.ListContainersRequest(), cri.ListContainersResponse, seconds),
            self._request("ListPodSandbox", cri.ListPodSandboxRequest(), cri.ListPodSandboxResponse, seconds),
        )
        pods_by_id = {pod.id: pod for pod in pods.items}
        records: dict[str, ContainerRecord] = {}
        changed: dict[str, cri.Container] = {}
        for container in listed.containers:
            cached = self._cache.get(container.id)
            if cached is not None and cached.state == container.state and cached.has_status:
                records[container.id] = cached
            else:
                changed[container.id] = container
        if changed:
            statuses = await self._statuses(list(changed), deadline)
            for number, (container_id, status) in enumerate(statuses.items(), 1):
                if number % ROWS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if not isinstance(status, errors.NotFound):
                    found = status if isinstance(status, cri.ContainerStatus) else None
                    container = changed[container_id]
                    pod = pods_by_id.get(container.pod_sandbox_id)
                    record = decode.decode_container_record(container, found, pod)
                    known = self._cache.get(container_id)
                    records[container_id] = decode.with_known_times(record, known) if found is None else record
        if changed or records.keys() != self._names.keys():
            self._names = decode.container_names(records.values())
        # A container may be listed before its pod is. Then the labels of its pod are not known yet.
        self._cache = {
            container_id: record
            for container_id, record in records.items()
            if _is_final(record, at_ns) and record.pod in pods_by_id
        }
        return Snapshot(engine, at_ns, records, pods_by_id, self._names)

    async def _statuses(
        self, ids: Sequence[str], deadline: float
    ) -> Mapping[str, cri.ContainerStatus | errors.QuarterdeckError]:
        async def one(container_id: str) -> cri.ContainerStatus | errors.QuarterdeckError:
            request = cri.ContainerStatusRequest(container_id=container_id)
            left = max(0.05, deadline - time.monotonic())
            try:
                response = await self._request("ContainerStatus", request, cri.ContainerStatusResponse, left)
            except (errors.NotFound, errors.Rejected, errors.InvalidResponse) as error:
                return error
            status: cri.ContainerStatus = response.status
            return status

        return dict(zip(ids, await map_concurrently(one, ids), strict=True))


class Snapshot(msgspec.Struct, frozen=True):
    """Holds all containers and pods of an engine at one moment. `at_ns`: unix time of this host when it was requested.
    `names`: the names of containers by id."""

    engine: EngineRef
    at_ns: int
    containers: Mapping[str, ContainerRecord]
    pods: Mapping[str, decode.PodMessage]
    names: Mapping[str, str]

    def ref(self, record: ContainerRecord) -> Ref:
        return decode.container_ref(self.engine, record, self.names[record.id])

    def row(self, record: ContainerRecord) -> Container:
        return decode.container_row(self.engine, record, self.names[record.id], self.at_ns / 1e9)

    def rows(self) -> tuple[Container, ...]:
        return tuple([self.row(record) for record in self.containers.values()])

    def members(self) -> Mapping[str, Sequence[ContainerRecord]]:
        """Returns the containers of each pod, by the pod's id."""
        found: dict[str, list[ContainerRecord]] = {}
        for record in self.containers.values():
            found.setdefault(record.pod, []).append(record)
        return found

    def with_pods(self, pods: Mapping[str, decode.PodMessage]) -> Snapshot:
        return Snapshot(self.engine, self.at_ns, self.containers, pods, self.names)

    def with_containers(self, changed: Mapping[str, ContainerRecord], removed: str, at_ns: int) -> Snapshot:
        """Returns the snapshot after an event. `changed`: the records of changed containers by id. `removed`: the id of
        a removed container, or empty."""
        containers = {**self.containers, **changed}
        containers.pop(removed, None)
        same = containers.keys() == self.containers.keys()
        names = self.names if same else decode.container_names(containers.values())
        return Snapshot(self.engine, at_ns, containers, self.pods, names)


class Request(Protocol):
    """Sends one request to the engine; see `CriEngineClient._request`."""

    async def __call__(self, method: str, request: Any, response: Any, seconds: float) -> Any: ...


def _is_final(record: ContainerRecord, at_ns: int) -> bool:
    """Returns True if the record stays valid until the state changes. CRI-O reports exit code -1 until it has read how
    a container ended. containerd may report just after the end that the container was out of memory."""
    if record.has_status and record.ended:
        settling = record.exit_code == SIGKILLED and at_ns < record.finished_ns + OOM_SETTLE_NS
        return record.exit_code != -1 and (record.reason == decode.OOM_REASON or not settling)
    return record.has_status
