"""One engine, watched for ever: its events go to the pipeline, our place in them to the store; beside it, the survey.

Each connection subscribes from the last event known (a little earlier: engines sort and round as they please), waits
until the subscription stands and lets the survey list and inspect. Batches are handed on in the engine's order and at
least once; repeats of a replay are taken out as far as the last few thousand events reach. The reading task does
nothing but read, because a reader that stalls slows the engine down; its queue is bounded, what does not fit is
dropped, counted, and forces a list. An engine that keeps no events is listed at every attempt instead.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from collectors import cursor, relister, timing
from collectors.event_queue import EventQueue
from collectors.pipeline import Pipeline
from core import errors, metrics
from core.model.events import Event
from runtimes.inventory import mirror as inventory_mirror

log = structlog.get_logger()

RECENT_EVENTS = 4096
# The loop may not be held longer than a few milliseconds, or the reader misses its turn.
EVENTS_A_TURN = 1000


class Watcher:
    """One engine's. Cancel `run` to end it; the runtime stays open, for whoever opened it to close."""

    def __init__(
        self,
        runtime: inventory_mirror.Watched,
        mirror: inventory_mirror.Mirror,
        pipeline: Pipeline,
        cursors: cursor.Cursors,
        counts: metrics.Metrics,
        *,
        pace: timing.Timing | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._pipeline = pipeline
        self._place = cursor.Cursor(cursors, now_ns)
        self._counts = counts
        self._pace = pace or timing.Timing()
        self._survey = relister.Relister(runtime, mirror, pipeline, self._place, counts, pace=self._pace, now_ns=now_ns)
        self._chance = chance
        self._labels: tuple[str, str] | None = None
        self._recent: deque[Event] = deque(maxlen=RECENT_EVENTS)
        self._repeats: set[tuple[int, str, str, str]] = set()
        self._repeats_until = 0

    async def run(self) -> None:
        failures = 0
        try:
            while True:
                await self._until_present()
                stood = await self.once()
                if not self._runtime.present:
                    self._gone()
                    failures = 0
                    continue
                failures = 0 if stood >= self._pace.healthy_after else failures + 1
                await asyncio.sleep(self.pause(failures))
        finally:
            await self._place.save()

    async def _until_present(self) -> None:
        """An engine that is none now may become one at any time."""
        while not self._runtime.present:  # noqa: ASYNC110 (looks as often as it must)
            await asyncio.sleep(self._pace.absent_for)

    def _gone(self) -> None:
        """It is there no more: not down, just no engine."""
        if self._labels is not None:
            self._counts.stream_up.remove(*self._labels)
            self._labels = None
        log.info("The engine is there no more.", engine=str(self._runtime.ref))

    def pause(self, failures: int) -> float:
        """Seconds before the next attempt, after so many that did not stay up."""
        top = min(self._pace.longest_pause, self._pace.first_pause * 2.0 ** min(failures, 20))
        return self._pace.first_pause + self._chance() * max(0.0, top - self._pace.first_pause)

    async def once(self) -> float:
        """One connection from first contact to its end, whatever ends it. Returns the seconds its stream stood."""
        loop = asyncio.get_running_loop()
        stood: float | None = None
        reason: errors.QuarterdeckError | None = None
        try:
            since = await self._resume_point()
            inbox = EventQueue()
            async with asyncio.TaskGroup() as group:
                name = f"watch {self._runtime.ref}"
                tasks = [group.create_task(self._read(inbox, since), name=f"{name}: read")]
                if await self._stands(inbox):
                    stood = loop.time()
                    self._up(since)
                    tasks += [
                        group.create_task(self._keep_listed(inbox, since), name=f"{name}: list"),
                        group.create_task(self._survey.keep_described(), name=f"{name}: describe"),
                        group.create_task(self._keep_cursor(), name=f"{name}: cursor"),
                    ]
                    await self._hand_on(inbox)
                for task in tasks:
                    task.cancel()
            reason = inbox.reason
            if isinstance(reason, errors.EventsUnsupported):
                await self._survey.relist()
        except errors.QuarterdeckError as error:
            reason = error
        finally:
            self._down("" if reason is None else reason.full_message())
        log.info(
            "The event stream ended." if stood is not None else "The engine cannot be watched yet.",
            engine=str(self._runtime.ref),
            reason=reason.full_message() if reason else "the engine closed it",
            stood=round(loop.time() - stood, 1) if stood is not None else None,
        )
        return 0.0 if stood is None else loop.time() - stood

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, inbox: EventQueue, since: int | None) -> None:
        reason: errors.QuarterdeckError | None = None
        stream = self._runtime.events(since)
        try:
            async for batch in stream:
                if not inbox.put(batch):
                    self._overflowed(batch)
        except errors.QuarterdeckError as error:
            reason = error
        finally:
            inbox.close(reason)
            if (aclose := getattr(stream, "aclose", None)) is not None:
                await aclose()

    async def _stands(self, inbox: EventQueue) -> bool:
        try:
            async with asyncio.timeout(self._pace.stands_within):
                await inbox.filled.wait()
        except TimeoutError:
            inbox.close(errors.TimedOut(f"{self._runtime.ref} did not open its event stream.", sent=True))
        return bool(inbox.batches)

    async def _hand_on(self, inbox: EventQueue) -> None:
        """Hands batches to the pipeline until the stream has ended and everything it brought is handed on."""
        handed = 0
        while True:
            while inbox.batches:
                batch = inbox.take()
                if batch:
                    self._take(batch)
                handed += len(batch)
                if handed >= EVENTS_A_TURN:
                    handed = 0
                    await asyncio.sleep(0)
            if inbox.closed:
                return
            inbox.filled.clear()
            await inbox.filled.wait()

    def _take(self, batch: Sequence[Event]) -> None:
        self._survey.heard()
        if self._repeats:
            if batch[0].at_ns > self._repeats_until:
                self._repeats = set()
            else:
                batch = [event for event in batch if event.identity() not in self._repeats]
                if not batch:
                    return
        self._recent.extend(batch)
        newest = self._pipeline.take(batch)
        if self._place.move(newest):
            self._counts.stream_last_event_timestamp_seconds.labels(*self._label()).set(newest / 1e9)

    def _overflowed(self, batch: Sequence[Event]) -> None:
        self._counts.stream_overflows_total.labels(*self._label()).inc(len(batch))
        self._mirror.lost_events(batch[-1].at_ns + 1)
        self._survey.lost()

    async def _keep_listed(self, inbox: EventQueue, since: int | None) -> None:
        """The survey's lists; one that fails ends the connection."""
        if since is not None:
            await asyncio.sleep(self._pace.replay_first)
        try:
            await self._survey.keep_listed()
        except errors.QuarterdeckError as error:
            inbox.close(error)

    def _up(self, since: int | None) -> None:
        self._counts.stream_up.labels(*self._label()).set(1)
        self._counts.stream_connects_total.labels(*self._label()).inc()
        self._mirror.stream_opened(self._place.begin() if since is None else since)
        self._survey.heard()
        self._repeats = {event.identity() for event in self._recent if since is not None and event.at_ns >= since}
        self._repeats_until = self._place.heard + int(self._pace.overlap * 1e9)
        log.info("The event stream stands.", engine=str(self._runtime.ref), resumed=since is not None)

    def _down(self, fault: str) -> None:
        self._mirror.stream_lost(fault)
        self._survey.stream_lost()
        self._counts.stream_up.labels(*self._label()).set(0)

    # ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _resume_point(self) -> int | None:
        """From when on to subscribe; None at the very first start. Our place is kept under the engine's id, and a
        first contact may be needed to learn that."""
        if not self._runtime.engine_id:
            await self._survey.contact()
        if self._place.engine != self._runtime.engine_id:
            await self._place.load(self._runtime.engine_id)
        return self._place.resume(int(self._pace.overlap * 1e9))

    async def _keep_cursor(self) -> None:
        while True:
            await asyncio.sleep(self._pace.cursor_every)
            await self._place.save()

    def _label(self) -> tuple[str, str]:
        labels = metrics.engine_labels(self._runtime.ref)
        if self._labels is not None and self._labels != labels:
            # At first contact the engine told its own name for its host; the series under our guess must not linger.
            self._counts.stream_up.remove(*self._labels)
        self._labels = labels
        return labels
