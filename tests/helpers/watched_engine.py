"""Watches one engine, and stores all its events and its mirror for a test."""

from __future__ import annotations

import asyncio

from collectors import engine_watcher, event_processor
from core import metrics
from runtimes import engine_registry
from runtimes.inventory.mirror import Mirror
from tests.helpers.watch_records import WatchRecords


class WatchedEngine:
    def __init__(self, door, cursors=None, *, timing=None):
        self.runtime = engine_registry.open_engine(door)
        self.mirror = Mirror(self.runtime)
        self.counts = metrics.Metrics()
        self.seen = []
        processor = self.processor = event_processor.EventProcessor(self.mirror, self.counts)
        process = processor.process
        processor.process = lambda events: (self.seen.extend(events), process(events))[1]
        self.watch = engine_watcher.EngineWatcher(
            self.runtime, self.mirror, processor, cursors or WatchRecords(), self.counts, timing=timing
        )
        self.runtime.skipped.listener = self.watch.data_skipped
        self.task = None

    async def __aenter__(self):
        self.task = asyncio.create_task(self.watch.run())
        await self.until(lambda: self.mirror.live)
        return self

    async def __aexit__(self, *error):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.runtime.aclose()

    async def until(self, true, seconds=90.0):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.01)

    def row(self, name):
        return next((row for row in self.mirror.containers.values() if row.ref.name == name), None)

    def kinds(self, name):
        return [event.kind for event in self.seen if event.subject.name == name]
