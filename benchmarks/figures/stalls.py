"""20,000 events in a second while the store hangs, nothing takes the alerts to chat, and a rule is slow.

The whole watch of `quarterdeck run` reads them. The store accepts calls and never answers, alerts are queued and nobody
takes them, and one rule computes for a fifth of a millisecond at every start of a container. Meanwhile an engine call
is made again and again. The tables say how long it took, beside the same call without any event, and how many events
were lost.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks import readers, recordings, replay, stage
from benchmarks.harness import Figure, Goal, Table
from collectors import alert_evaluator, event_recorder
from collectors.rule import Rule, RuleInput
from core.model.actions import InspectContainer
from core.model.alerts import Finding, Severity
from core.model.events import EventKind
from core.store.records import StoredEvent, WatchRecord, WatchUpdate

EVENTS = 20_000
SLOW_SECONDS = 0.0002
DOOR = "stalls"
IDLE, FLOOD = "without events", f"with {EVENTS:,} events a second"


class HungStore:
    """Accepts everything and answers nothing, after a first read."""

    async def watch_record(self, engine: str, /) -> WatchRecord:
        return WatchRecord()

    async def update_watch(self, engine: str, update: WatchUpdate, /) -> None:
        await asyncio.Event().wait()

    async def record_events(self, events: Iterable[StoredEvent], /, *, lost: int, lost_until_us: int) -> int:
        await asyncio.Event().wait()
        return 0


def slow(seen: RuleInput) -> Finding | None:
    ends = time.perf_counter() + SLOW_SECONDS
    while time.perf_counter() < ends:
        pass
    return None


RULE = Rule(
    name="slow",
    summary="takes its time",
    severity=Severity.MEDIUM,
    on=frozenset({EventKind.STARTED}),
    check=slow,
    topic="slow",
    window=timedelta(minutes=1),
)


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    server = replay.Engine(scene.room, [DOOR], containers=stage.CONTAINERS)
    calls: dict[str, list[float]] = {IDLE: [], FLOOD: []}
    lost: dict[str, list[float]] = {}
    try:
        for recording in recordings.RECORDINGS:
            for _ in range(times):
                lost.setdefault(recording, []).append(await once(scene.room, server, recording, calls))
    finally:
        server.close()
    added = statistics.median(calls[FLOOD]) - statistics.median(calls[IDLE])
    return [
        Table(
            title="stalls: an engine call while everything else hangs",
            unit="ms",
            rows=calls,
            ours=FLOOD,
            compared=False,
            goals=[Goal(what="ms more than without events", found=added, most=10)],
        ),
        Table(
            title=f"stalls: events lost of {EVENTS:,}",
            unit="events",
            rows=lost,
            ours="churn",
            compared=False,
            goals=[Goal(what="lost", found=max(map(max, lost.values())), most=0)],
        ),
    ]


async def once(room: Path, server: replay.Engine, recording: str, calls: dict[str, list[float]]) -> float:
    """The events lost; adds the milliseconds of each call to `calls`."""
    alerts: deque[object] = deque(maxlen=10_000)
    store = HungStore()
    side = readers.Side(f"unix://{room / DOOR}.sock")
    recorder = event_recorder.EventRecorder(store, lambda: "replay", lambda number: None)
    side.line = readers.Line(
        side.mirror, side.counts, alerts=alert_evaluator.Evaluator([RULE], alerts.append), recorder=recorder
    )
    writing = asyncio.create_task(recorder.run())
    try:
        async with stage.watching(side.engine, side.mirror, side.line, side.counts, store):
            await calls_for(side, 0.5, calls[IDLE])
            before = side.counted()
            through = side.line.expect(server.build(recording, EVENTS).newest_ns)
            server.send(DOOR, str(EVENTS))
            while not through.is_set():
                await calls_for(side, 0.1, calls[FLOOD])
            server.sent()
            return EVENTS + before - side.counted()
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await side.engine.aclose()


async def calls_for(side: readers.Side, seconds: float, taken: list[float]) -> None:
    target = next(row.ref for row in side.mirror.containers.values() if row.ref.id == recordings.container_id(0))
    action = InspectContainer(engine=side.engine.ref, target=target)
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        await side.mirror.run(action, stage.call())
        taken.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.005)


figure = Figure(name="stalls", summary="a flood of events while everything else hangs", rounds=3, measure=measure)
