"""Ways to read a replayed event stream: ours, ours with the whole watch, docker-py, and the bytes alone.

Ours go from the socket through adapter, counters, mirror, history and causes; and, in a way of its own, the whole way
of `quarterdeck run`, where the watch also inspects what changed. docker-py's `events(decode=True)` is looped over and a
Prometheus counter moved: the least an exporter does. Each way ends with the newest event that was built. It says how
many events its counters do not have then.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import prometheus_client

from benchmarks import replay, stage
from collectors import event_processor
from core import metrics
from core.model.actions import ListContainers
from core.model.events import Event
from runtimes import engine_registry
from runtimes.inventory.mirror import Mirror

OURS, WATCHED, THEIRS, RAW = "ours", "ours, with inspections", "docker-py", "bytes only"
DOORS = {OURS: "line", WATCHED: "watch", THEIRS: "theirs", RAW: "raw"}
PATIENCE = 30  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What reading took: seconds, CPU seconds of this process, and the events that were sent but not counted."""

    seconds: float
    cpu: float
    lost: int = 0


class Clock:
    """Starts now; `stop` says what was taken since."""

    def __init__(self) -> None:
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, lost: int = 0) -> Taken:
        return Taken(seconds=time.perf_counter() - self._began, cpu=time.process_time() - self._cpu, lost=lost)


class Line(event_processor.EventProcessor):
    """The product's event processor, which also knows when the newest event has come through."""

    def __init__(self, mirror: Mirror, counts: metrics.Metrics, **more: Any) -> None:
        super().__init__(mirror, counts, **more)
        self._until = 0
        self._through = asyncio.Event()

    def expect(self, newest_ns: int) -> asyncio.Event:
        self._until, self._through = newest_ns, asyncio.Event()
        return self._through

    def process(self, events: Sequence[Event]) -> int:
        newest = super().process(events)
        if newest >= self._until:
            self._through.set()
        return newest


def total(counter: Any) -> int:
    samples = [sample for family in counter.collect() for sample in family.samples]
    return sum(int(sample.value) for sample in samples if sample.name.endswith("_total"))


class Side:
    """Our side at one door: an engine, and what its events go through."""

    def __init__(self, url: str) -> None:
        self.engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=url))
        self.counts = metrics.Metrics()
        self.mirror = Mirror(self.engine)
        self.line = Line(self.mirror, self.counts)

    def counted(self) -> int:
        """The events of the engine. What only a list showed is counted as an event, too, and is taken off."""
        return total(self.counts.events_total) - total(self.counts.resync_events_total)

    async def fill(self) -> None:
        """Lists and describes the containers, without a watch."""
        found = await self.engine.run(ListContainers(engine=self.engine.ref, fresh=True), stage.call())
        self.mirror.replace(found.rows, 0)
        self.mirror.apply_inspections(await self.engine.describe([row.ref.id for row in found.rows], 60), 1)

    async def settle(self) -> None:
        """Waits until what the last events dirtied is described, so that rounds begin alike."""
        async with asyncio.timeout(PATIENCE):
            while self.mirror.dirty or not self.mirror.live:
                await asyncio.sleep(0.05)


async def read_ours(side: Side, server: replay.Engine, door: str, recording: str, events: int, how: str) -> Taken:
    until = server.build(recording, events).newest_ns
    before, newest = side.counted(), 0
    stream: Any = side.engine.events(None)
    await anext(stream)  # it stands
    clock = Clock()
    server.send(door, how)
    async with asyncio.timeout(PATIENCE):
        while newest < until:
            newest = side.line.process(await anext(stream))
    taken = clock.stop(events + before - side.counted())
    await stream.aclose()
    server.sent()
    return taken


class Ways:
    """Each way reads `events` events of a recording, sent as `replay` describes."""

    def __init__(self, server: replay.Engine, scene: stage.Stage, watched: Side) -> None:
        self._server = server
        self._watched = watched
        self._ours = Side(f"unix://{scene.room / DOORS[OURS]}.sock")
        self._raw = scene.room / f"{DOORS[RAW]}.sock"
        self._low = stage.docker_py(f"unix://{scene.room / DOORS[THEIRS]}.sock")
        self._counter = prometheus_client.Counter(
            "events", "Events.", ["type", "action"], registry=prometheus_client.CollectorRegistry()
        )

    async def open(self) -> None:
        await self._ours.fill()

    async def close(self) -> None:
        await self._ours.engine.aclose()
        self._low.close()

    async def ours(self, recording: str, events: int, how: str) -> Taken:
        return await read_ours(self._ours, self._server, DOORS[OURS], recording, events, how)

    async def watched(self, recording: str, events: int, how: str) -> Taken:
        await self._watched.settle()
        before = self._watched.counted()
        through = self._watched.line.expect(self._server.build(recording, events).newest_ns)
        clock = Clock()
        self._server.send(DOORS[WATCHED], how)
        async with asyncio.timeout(PATIENCE):
            await through.wait()
        taken = clock.stop(events + before - self._watched.counted())
        self._server.sent()
        return taken

    async def theirs(self, recording: str, events: int, how: str) -> Taken:
        until = self._server.build(recording, events).newest_ns
        stream: Any = self._low.events(decode=True)
        clock, counted = Clock(), 0
        self._server.send(DOORS[THEIRS], how)
        for event in stream:
            self._counter.labels(event["Type"], event["Action"].partition(":")[0]).inc()
            counted += 1
            if event["timeNano"] >= until:
                break
        taken = clock.stop(events - counted)
        stream.close()
        self._server.sent()
        return taken

    async def bytes_only(self, recording: str, events: int, how: str) -> Taken:
        left = self._server.build(recording, events).size
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(self._raw))
            door.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            door.recv(1024)
            clock = Clock()
            self._server.send(DOORS[RAW], how)
            while left > 0:
                got = len(door.recv(1 << 18))
                if not got:
                    raise RuntimeError("the replay server closed the stream")
                left -= got
            taken = clock.stop()
        self._server.sent()
        return taken


@contextlib.asynccontextmanager
async def ways(scene: stage.Stage) -> AsyncIterator[Ways]:
    """A replay server with all ways at its doors."""
    server = replay.Engine(scene.room, list(DOORS.values()), containers=stage.CONTAINERS)
    try:
        watched = Side(f"unix://{scene.room / DOORS[WATCHED]}.sock")
        async with stage.watching(watched.engine, watched.mirror, watched.line, watched.counts):
            if len(watched.mirror.containers) != stage.CONTAINERS:
                raise RuntimeError(f"{len(watched.mirror.containers)} containers in the mirror")
            made = Ways(server, scene, watched)
            await made.open()
            yield made
            await made.close()
        await watched.engine.aclose()
    finally:
        server.close()
