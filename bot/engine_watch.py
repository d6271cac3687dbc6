"""Watches one engine: starts the tasks that mirror it, read its events, store their history and sample its usage.

Only a process that watches engines imports this module, or one that follows the events of an engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Protocol

from collectors import engine_watcher, event_processor, stored_container_ends, usage_sampler
from collectors.alert_evaluator import Evaluator
from collectors.cursor import CursorStore
from collectors.event_recorder import EventRecorder, EventWriter
from core import metrics, supervise, tasks
from core.lazy_dataclass import dataclass
from core.store.records import WatchRecord, WatchUpdate
from runtimes.inventory.event_followers import EventFollowers
from runtimes.inventory.mirror import Mirror, WatchedEngine
from runtimes.inventory.stored_events import EventStore, StoredEvents

RESTART = supervise.Backoff()


class EventHistory(EventStore, EventWriter, Protocol):
    """Stores the history of events, and reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWatch:
    """Holds what watches one engine. `tasks`: those to cancel before `close`."""

    mirror: Mirror
    processor: event_processor.EventProcessor
    tasks: tuple[asyncio.Task[None], ...]

    def close(self) -> None:
        self.processor.close()


def start(
    engine: WatchedEngine,
    *,
    supervisor: supervise.Supervisor,
    counts: metrics.Metrics,
    cursors: CursorStore,
    history: EventHistory,
    stored: StoredEvents,
    alerts: Evaluator | None,
) -> EngineWatch:
    """Starts the tasks. `alerts`: evaluates the alert rules on the events of the engine."""

    def count_lost(number: int) -> None:
        counts.history_lost_events_total.labels(*metrics.engine_labels(engine.ref)).inc(number)

    mirror = Mirror(engine, stored=stored)
    recorder = EventRecorder(history, lambda: engine.engine_id, count_lost)
    processor = event_processor.EventProcessor(mirror, counts, alerts=alerts, recorder=recorder)
    watching = engine_watcher.EngineWatcher(engine, mirror, processor, cursors, counts)
    engine.skipped.listener = watching.data_skipped
    mirror.pulls.listener = processor.report_own_event
    sampling = usage_sampler.UsageSampler(mirror, counts)
    keep_history = functools.partial(_keep_history, mirror, recorder, stored)
    started = (
        supervisor.start_background(f"watch {engine.ref}", watching.run, RESTART),
        supervisor.start_background(f"usage {engine.ref}", sampling.run, RESTART),
        supervisor.start_background(f"history {engine.ref}", keep_history, RESTART),
    )
    return EngineWatch(mirror=mirror, processor=processor, tasks=started)


@contextlib.asynccontextmanager
async def watch_while_followed(engine: WatchedEngine) -> AsyncIterator[EventFollowers]:
    """Watches an engine that this process does not watch otherwise. Nothing about the watch is stored or counted,
    because a bot may watch the same engine."""
    mirror, counts = Mirror(engine), metrics.Metrics()
    processor = event_processor.EventProcessor(mirror, counts)
    watching = engine_watcher.EngineWatcher(engine, mirror, processor, _Unsaved(), counts)
    task = tasks.start(f"follow {engine.ref}", watching.run())
    try:
        yield mirror.feed
    finally:
        task.cancel()
        await asyncio.wait([task])
        processor.close()


async def _keep_history(mirror: Mirror, recorder: EventRecorder, stored: StoredEvents) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(stored_container_ends.load_stored_ends(mirror, stored), name=f"restore {mirror.ref}")
        await recorder.run()


class _Unsaved:
    """Stores nothing about a watch."""

    async def watch_record(self, engine: str, /) -> WatchRecord:
        return WatchRecord()

    async def update_watch(self, engine: str, update: WatchUpdate, /) -> None:
        """Does nothing."""
