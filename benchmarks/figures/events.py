"""Events taken in, counted and put into the mirror, per second and in CPU time, against docker-py that only counts.

Ours go from the socket through adapter, counters, mirror and history; and, in a row of its own, the whole way of
`quarterdeck run`, where the watch also inspects what changed. docker-py's `events(decode=True)` is
looped over and a Prometheus counter moved: the least an exporter does.
Both read the recorded stream from a server in another process; how fast that can write is a row of its own, and whoever
comes near it was held up by the writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import prometheus_client

from benchmarks import replay, stage
from benchmarks.harness import Figure, Goal, Once, Table, ratio, rounds
from collectors import pipeline
from core import metrics
from core.model.actions import ListContainers
from core.model.events import Event
from runtimes import engine_registry
from runtimes.inventory.mirror import Mirror

OURS, WATCHED, THEIRS, RAW = "ours", "ours, with inspections", "docker-py", "bytes only"
DOORS = {OURS: "line", WATCHED: "watch", THEIRS: "theirs", RAW: "raw"}
MANY, FEWER = 60_000, 20_000
RATE = 20_000


class Reader:
    """Our side: a watch that stands, and how many events came out at its end."""

    def __init__(self, url: str) -> None:
        self._engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=url))
        self._counts = metrics.Metrics()
        self._mirror = Mirror(self._engine)
        self._line = Line(self._mirror, self._counts)

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        async with stage.watching(self._engine, self._mirror, self._line, self._counts):
            if len(self._mirror.containers) != stage.CONTAINERS:
                raise RuntimeError(f"{len(self._mirror.containers)} containers in the mirror")
            yield
        await self._engine.aclose()

    async def settle(self) -> None:
        """Until what the last events dirtied is described, so that rounds begin alike."""
        async with asyncio.timeout(20):
            while self._mirror.dirty or not self._mirror.live:
                await asyncio.sleep(0.05)

    def expect(self, events: int) -> asyncio.Event:
        """Set when so many have come out."""
        return self._line.expect(events)


class Line(pipeline.Pipeline):
    """The product's pipeline, which also knows when everything expected has come through."""

    def __init__(self, mirror: Mirror, counts: metrics.Metrics) -> None:
        super().__init__(mirror, counts)
        self._left = 0
        self._through = asyncio.Event()

    def expect(self, events: int) -> asyncio.Event:
        self._left, self._through = events, asyncio.Event()
        return self._through

    def process(self, events: Sequence[Event]) -> int:
        newest = super().process(events)
        self._left -= len(events)
        if self._left <= 0:
            self._through.set()
        return newest


class Ways:
    """The ways to read what the server sends. Each returns (seconds, CPU seconds of this process)."""

    def __init__(self, server: replay.Engine, scene: stage.Stage, reader: Reader) -> None:
        self._server = server
        self._reader = reader
        self._raw = scene.room / f"{DOORS[RAW]}.sock"
        self._low = stage.docker_py(f"unix://{scene.room / DOORS[THEIRS]}.sock")
        self._engine = engine_registry.open_engine(
            engine_registry.EngineAddress(kind="docker", url=f"unix://{scene.room / DOORS[OURS]}.sock")
        )
        self._mirror = Mirror(self._engine)
        self._line = pipeline.Pipeline(self._mirror, metrics.Metrics())
        self._counter = prometheus_client.Counter(
            "events", "Events.", ["type", "action"], registry=prometheus_client.CollectorRegistry()
        )

    async def open(self) -> None:
        found = await self._engine.run(ListContainers(engine=self._engine.ref, fresh=True), stage.call())
        self._mirror.replace(found.rows, 0)
        self._mirror.apply_inspections(await self._engine.describe([row.ref.id for row in found.rows], 60), 1)

    async def close(self) -> None:
        await self._engine.aclose()
        self._low.close()

    async def ours(self, events: int, how: str) -> tuple[float, float]:
        self._server.build(events)
        stream: Any = self._engine.events(None)
        await anext(stream)  # it stands
        began, cpu, left = time.perf_counter(), time.process_time(), events
        self._server.send(DOORS[OURS], how)
        async with asyncio.timeout(20):
            while left > 0:
                batch = await anext(stream)
                self._line.process(batch)
                left -= len(batch)
        took = time.perf_counter() - began, time.process_time() - cpu
        await stream.aclose()
        self._server.sent()
        return took

    async def watched(self, events: int, how: str) -> tuple[float, float]:
        await self._reader.settle()
        self._server.build(events)
        through = self._reader.expect(events)
        began, cpu = time.perf_counter(), time.process_time()
        self._server.send(DOORS[WATCHED], how)
        async with asyncio.timeout(20):
            await through.wait()
        took = time.perf_counter() - began, time.process_time() - cpu
        self._server.sent()
        return took

    async def theirs(self, events: int, how: str) -> tuple[float, float]:
        self._server.build(events)
        stream: Any = self._low.events(decode=True)
        began, cpu = time.perf_counter(), time.process_time()
        self._server.send(DOORS[THEIRS], how)
        for _ in range(events):
            event = next(stream)
            self._counter.labels(event["Type"], event["Action"].partition(":")[0]).inc()
        took = time.perf_counter() - began, time.process_time() - cpu
        stream.close()
        self._server.sent()
        return took

    async def bytes_only(self, events: int, how: str) -> tuple[float, float]:
        left = self._server.build(events)
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(self._raw))
            door.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            door.recv(1024)
            began, cpu = time.perf_counter(), time.process_time()
            self._server.send(DOORS[RAW], how)
            while left > 0:
                got = len(door.recv(1 << 18))
                if not got:
                    raise RuntimeError("the replay server closed the stream")
                left -= got
            took = time.perf_counter() - began, time.process_time() - cpu
        self._server.sent()
        return took


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    server = replay.Engine(scene.room, list(DOORS.values()))
    try:
        reader = Reader(f"unix://{scene.room / DOORS[WATCHED]}.sock")
        async with reader.standing():
            ways = Ways(server, scene, reader)
            await ways.open()
            tables = [await rates(ways, "bulk", times), await rates(ways, "single", times), await live(ways, times)]
            await ways.close()
            return tables
    finally:
        server.close()


async def rates(ways: Ways, how: str, times: int) -> Table:
    def per_second(way: Any, events: int) -> Once:
        async def once() -> float:
            seconds, _ = await way(events, how)
            return events / float(seconds)

        return once

    taken = await rounds(
        {
            OURS: per_second(ways.ours, MANY),
            WATCHED: per_second(ways.watched, MANY),
            THEIRS: per_second(ways.theirs, FEWER),
            RAW: per_second(ways.bytes_only, MANY),
        },
        times,
    )
    words = {"bulk": "as a reader that fell behind gets them", "single": "one write for each, as fast as they come"}
    return Table(
        title=f"events: taken in, counted and mirrored, {words[how]}",
        unit="events/s",
        rows=taken,
        ours=OURS,
        more_is_better=True,
        goals=[Goal(what="times docker-py", found=ratio(taken[OURS], taken[THEIRS]), least=5.0)],
    )


async def live(ways: Ways, times: int) -> Table:
    slower = False

    def each(way: Any) -> Once:
        async def once() -> float:
            nonlocal slower
            seconds, cpu = await way(RATE, str(RATE))
            slower = slower or float(seconds) > 1.2
            return float(cpu) / RATE * 1e6

        return once

    taken = await rounds({OURS: each(ways.ours), WATCHED: each(ways.watched), THEIRS: each(ways.theirs)}, times)
    return Table(
        title=f"events: CPU of the reading process at {RATE:,} a second, one write each",
        unit="µs/event",
        rows=taken,
        ours=OURS,
        notes=["Somebody did not keep up with the rate in some round."] if slower else [],
    )


figure = Figure(name="events", summary="events taken in, against docker-py", rounds=7, measure=measure)
