"""Watches a fake engine on fake loop time, with everything that a watch needs and a store in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from collectors import engine_watcher
from collectors.alert_evaluator import Evaluator
from collectors.event_processor import EventProcessor
from core import errors, metrics
from core.model import gaps
from core.model.events import EventKind, Origin
from core.store.records import WatchRecord, WatchUpdate
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.watch_records import WatchRecords

LABELS = {"host": "fake", "engine": "fake"}
EPOCH = 1_800_000_000.0


class Shelf(WatchRecords):
    """What is saved, in memory; `down` makes it fail as the store does."""

    down = False

    async def watch_record(self, engine: str, /) -> WatchRecord:
        self._answer()
        return await super().watch_record(engine)

    async def update_watch(self, engine: str, update: WatchUpdate, /) -> None:
        self._answer()
        await super().update_watch(engine, update)

    def _answer(self) -> None:
        if self.down:
            raise errors.StoreDown


class Bench:
    """A fake engine on loop time and everything that watches it. `restart` is a new process over the same shelf."""

    def __init__(self) -> None:
        self.engine = FakeRuntime(now=self.now)
        self.shelf = Shelf()
        self.restart()

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()

    def now_ns(self) -> int:
        return int(self.now() * 1e9)

    def restart(self, alerts: Evaluator | None = None) -> None:
        self.counts = metrics.Metrics()
        self.mirror = Mirror(self.engine, now=self.now)
        self.processor = EventProcessor(self.mirror, self.counts, alerts=alerts)
        parts = (self.engine, self.mirror, self.processor, self.shelf, self.counts)
        self.watch = engine_watcher.EngineWatcher(*parts, now_ns=self.now_ns, random_fraction=lambda: 0.0)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        await asyncio.sleep(0.1)
        task = asyncio.create_task(self.watch.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, true: Callable[[], Any], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.01)

    def count(self, name: str, **labels: str) -> float:
        return self.counts.registry.get_sample_value(f"quarterdeck_{name}", {**LABELS, **labels}) or 0.0

    def told(self) -> list[tuple[EventKind, str, Origin]]:
        """What happened on the engine, as it was passed on."""
        events = [event for event in self.mirror.history if event.kind is not EventKind.GAP]
        return [(event.kind, event.subject.name, event.origin) for event in events]

    def gaps(self) -> list[gaps.Gap]:
        """The gaps that were reported, in this order."""
        return [gaps.from_event(event) for event in self.mirror.history if event.kind is EventKind.GAP]
