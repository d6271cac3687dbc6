"""What exists on a CRI engine, seen again and again: lists of containers and pods in, a `View` out.

A list tells states alone; times, exit codes and names of images are in each container's status. Since a container runs
once, a status is asked for when its state was not seen before, a few at once, and kept while the container is there: a
look where nothing changed costs two calls, however many containers there are. Equal containers are the same object from
view to view. One whose status cannot be had stays with what the list tells of it.
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
from runtimes.cri import decode
from runtimes.cri.decode import Known
from runtimes.proto import cri_pb2 as cri

ASKED_AT_ONCE = 8


class Ask(Protocol):
    async def __call__(self, method: str, request: Any, answer: Any, seconds: float, *, about: str = "") -> Any: ...


class View(msgspec.Struct, frozen=True):
    """`at_ns`: when it was asked for, by our clock; `names` of containers by id."""

    engine: EngineRef
    at_ns: int
    containers: Mapping[str, Known]
    pods: Mapping[str, decode.PodLine]
    names: Mapping[str, str]

    def ref(self, one: Known) -> Ref:
        return decode.ref(self.engine, one, self.names[one.id])

    def row(self, one: Known) -> Container:
        return decode.row(self.engine, one, self.names[one.id], self.at_ns / 1e9)

    def rows(self) -> tuple[Container, ...]:
        return tuple([self.row(one) for one in self.containers.values()])

    def members(self) -> Mapping[str, Sequence[Known]]:
        """By pod."""
        found: dict[str, list[Known]] = {}
        for one in self.containers.values():
            found.setdefault(one.pod, []).append(one)
        return found

    def with_pods(self, pods: Mapping[str, decode.PodLine]) -> View:
        return View(self.engine, self.at_ns, self.containers, pods, self.names)

    def after(self, told: Mapping[str, Known], gone: str, at_ns: int) -> View:
        """This view with what an event told of some containers, and without the one it says is gone."""
        containers = {**self.containers, **told}
        containers.pop(gone, None)
        same = containers.keys() == self.containers.keys()
        names = self.names if same else decode.called(containers.values())
        return View(self.engine, at_ns, containers, self.pods, names)


class Eye:
    """Looks at one engine, and remembers what need not be asked again."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, Known] = {}
        self._names: dict[str, str] = {}

    async def look(self, engine: EngineRef, seconds: float) -> View:
        """`seconds` for all of it. Raises EngineErrors."""
        ends, at_ns = time.monotonic() + seconds, time.time_ns()
        listed, pods = await asyncio.gather(
            self._ask("ListContainers", cri.ListContainersRequest(), cri.ListContainersResponse, seconds),
            self._ask("ListPodSandbox", cri.ListPodSandboxRequest(), cri.ListPodSandboxResponse, seconds),
        )
        of_pod = {pod.id: pod for pod in pods.items}
        known: dict[str, Known] = {}
        unsure: dict[str, cri.Container] = {}
        for line in listed.containers:
            kept = self._known.get(line.id)
            if kept is not None and kept.state == line.state and kept.told:
                known[line.id] = kept
            else:
                unsure[line.id] = line
        if unsure:
            statuses = await self._statuses(list(unsure), ends)
            for thing, status in statuses.items():
                if not isinstance(status, errors.NotFound):
                    told = status if isinstance(status, cri.ContainerStatus) else None
                    line = unsure[thing]
                    known[thing] = decode.known(line, told, of_pod.get(line.pod_sandbox_id))
        if unsure or known.keys() != self._names.keys():
            self._names = decode.called(known.values())
        # A container may be listed before its pod is: what the pod says of it is then not known yet.
        self._known = {thing: one for thing, one in known.items() if _settled(one) and (one.pod in of_pod)}
        return View(engine, at_ns, known, of_pod, self._names)

    async def _statuses(
        self, ids: Sequence[str], ends: float
    ) -> Mapping[str, cri.ContainerStatus | errors.QuarterdeckError]:
        gate = asyncio.Semaphore(ASKED_AT_ONCE)

        async def one(thing: str) -> cri.ContainerStatus | errors.QuarterdeckError:
            async with gate:
                request = cri.ContainerStatusRequest(container_id=thing)
                left = max(0.05, ends - time.monotonic())
                try:
                    answer = await self._ask("ContainerStatus", request, cri.ContainerStatusResponse, left)
                except (errors.NotFound, errors.Rejected, errors.InvalidResponse) as error:
                    return error
                status: cri.ContainerStatus = answer.status
                return status

        return dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))


def _settled(one: Known) -> bool:
    """Whether it stays true while its state is the same: CRI-O says -1 until it has read how a container ended."""
    return one.told and not (one.ended and one.exit_code == -1)
