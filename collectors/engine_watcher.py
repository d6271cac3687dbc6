"""Watches one engine: passes its events to the event processor, and saves the position of the newest event.

Each connection subscribes from a little before the newest known event. When the stream is open, the relister starts to
list and inspect the containers. Batches are processed in the engine's order and at least once. An event that is sent
again is skipped if it is among the last few thousand. The reading task only reads, because a slow reader slows the
engine down. The queue of read batches is limited: a batch that does not fit is dropped and counted, and causes a new
list. If an engine has no event stream, the watcher lists its containers each time it would connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence

import structlog

from collectors import event_size_limits, future_event_times
from collectors.cursor import Cursor, CursorStore
from collectors.event_processor import EventProcessor
from collectors.event_queue import EventQueue
from collectors.gap_tracker import GapTracker
from collectors.relister import NO_ANSWER, Relister
from collectors.repeated_events import RepeatedEvents
from collectors.stream_metrics import StreamMetrics
from collectors.watch_checkpoint import WatchCheckpoint
from collectors.watch_timing import WatchTiming
from core import errors, metrics
from core.model.events import Event, Origin, number_of
from core.model.gaps import Gap, GapReason
from core.repeated_log import RepeatedLog
from runtimes.formats import skipped_data
from runtimes.inventory.mirror import Mirror, WatchedEngine

log = structlog.get_logger()

# Processing may block the event loop for a few milliseconds at most, since the reader shares it.
MAX_EVENTS_PER_TURN = 1000
MAX_DIRTY = 10_000  # containers that wait for an inspection; beyond, events are dropped and the engine is listed


class EngineWatcher:
    """Watches one engine until `run` is cancelled. It does not close the runtime."""

    def __init__(
        self,
        runtime: WatchedEngine,
        mirror: Mirror,
        processor: EventProcessor,
        cursors: CursorStore,
        counts: metrics.Metrics,
        *,
        timing: WatchTiming | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._processor = processor
        self._cursor = Cursor(cursors, now_ns, lambda: str(runtime.ref))
        self._counts = StreamMetrics(counts, lambda: runtime.ref)
        self._gaps = GapTracker(lambda: (runtime.ref, runtime.engine_id), self._report_gap, now_ns)
        self._timing = timing or WatchTiming()
        self._repeats = RepeatedEvents()
        self._saver = WatchCheckpoint(self._cursor, self._gaps, mirror, self._repeats, timing=self._timing)
        self._relister = Relister(
            runtime, mirror, processor, self._cursor, gaps=self._gaps, counts=self._counts, timing=self._timing
        )
        self._now_ns = now_ns
        self._random_fraction = random_fraction
        self._silent_since: int | None = None
        self._replaying = False  # from the opening of a stream until its first live event
        self._repeated_log = RepeatedLog(lambda: asyncio.get_running_loop().time())
        self._log_opening = True  # not again after an end that was not logged, because it repeats

    async def run(self) -> None:
        failures = 0
        try:
            while True:
                open_seconds = await self.connect_once()
                failures = 0 if open_seconds >= self._timing.healthy_after else failures + 1
                await self._pause(self.pause_seconds(failures))
        finally:
            await self._saver.save(ended=True)

    async def _pause(self, seconds: float) -> None:
        """Waits before the next attempt, only shortly if somebody asks for what a silent engine has."""
        self._mirror.wanted.clear()
        await asyncio.sleep(min(seconds, self._timing.first_pause))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds - self._timing.first_pause)):
                await self._mirror.wanted.wait()

    def pause_seconds(self, failures: int) -> float:
        """The pause before the next attempt, after so many attempts without a healthy stream."""
        limit = min(self._timing.max_pause, self._timing.first_pause * 2.0 ** min(failures, 20))
        return self._timing.first_pause + self._random_fraction() * max(0.0, limit - self._timing.first_pause)

    async def connect_once(self) -> float:
        """Runs one connection, until anything ends it. Returns the seconds that its stream was open."""
        loop = asyncio.get_running_loop()
        opened_at: float | None = None
        reason: errors.QuarterdeckError | None = None
        try:
            since = await self._resume_point()
            queue = EventQueue()
            async with asyncio.TaskGroup() as group:
                name = f"watch {self._runtime.ref}"
                tasks = [group.create_task(self._read(queue, since), name=f"{name}: read")]
                if await self._wait_until_open(queue):
                    opened_at = loop.time()
                    self._stream_opened(since)
                    tasks += [
                        group.create_task(self._list_forever(queue, since), name=f"{name}: list"),
                        group.create_task(self._relister.inspect_forever(), name=f"{name}: inspect"),
                        group.create_task(self._saver.save_forever(), name=f"{name}: cursor"),
                        group.create_task(self._relister.describe_engine(), name=f"{name}: version"),
                    ]
                    await self._process(queue)
                for task in tasks:
                    task.cancel()
            reason = queue.reason
            if isinstance(reason, errors.EventsUnsupported):
                await self._relister.relist()
        except errors.QuarterdeckError as error:
            reason = error
        except BaseExceptionGroup:
            reason = errors.EngineError(
                f"Watching {self._runtime.ref} failed because of a bug in Quarterdeck.",
                hint="Report the error in Quarterdeck's log to Quarterdeck's developers."
                " Quarterdeck watches the engine again in some seconds.",
            )
            raise
        finally:
            if isinstance(reason, errors.TimedOut):
                self._silent_since = int(self._mirror.last_contact * 1e9)  # since when it was silent is not known
            self._stream_lost("" if reason is None else reason.full_message())
        if isinstance(reason, NO_ANSWER):
            await self._check_silence(reason)
        message = "The event stream ended." if opened_at is not None else "The event stream could not be opened."
        why = reason.full_message() if reason else "the engine closed it"
        if times := self._repeated_log.due(f"{message} {why}"):
            self._log_opening = True
            log.info(
                message,
                engine=str(self._runtime.ref),
                reason=why,
                open_seconds=round(loop.time() - opened_at, 1) if opened_at is not None else None,
                **({"times": times} if times > 1 else {}),
            )
        return 0.0 if opened_at is None else loop.time() - opened_at

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, queue: EventQueue, since: int | None) -> None:
        reason: errors.QuarterdeckError | None = None
        stream = self._runtime.events(since)
        try:
            async for batch in stream:
                if not queue.put(batch):
                    self._drop(batch)
        except errors.QuarterdeckError as error:
            reason = error
        finally:
            queue.close(reason)
            if (aclose := getattr(stream, "aclose", None)) is not None:
                await aclose()

    async def _wait_until_open(self, queue: EventQueue) -> bool:
        try:
            async with asyncio.timeout(self._timing.open_timeout):
                await queue.filled.wait()
        except TimeoutError:
            queue.close(
                errors.TimedOut(
                    f"{self._runtime.ref} did not open its event stream within {self._timing.open_timeout:g} s.",
                    sent=True,
                    hint="Check the load of the engine's host: CPU, memory and disks.",
                )
            )
        return bool(queue.batches)

    async def _process(self, queue: EventQueue) -> None:
        """Processes batches until the stream has ended and the queue is empty."""
        processed = 0
        while True:
            while queue.batches:
                batch = queue.get()
                if batch:
                    self._process_batch(batch)
                processed += len(batch)
                if processed >= MAX_EVENTS_PER_TURN:
                    processed = 0
                    await asyncio.sleep(0)
            if queue.closed:
                return
            queue.filled.clear()
            await queue.filled.wait()

    def _process_batch(self, batch: Sequence[Event]) -> None:
        now = self._relister.batch_received()
        batch, cut = event_size_limits.limit_sizes(batch)
        if cut:
            self._counts.cut(cut)
        if len(self._mirror.dirty) > MAX_DIRTY:  # containers that do not exist, or far too many that do
            self._drop(batch)
            return
        if self._replaying:
            self._gaps.received(batch)
        if self._repeats.expected:
            received = len(batch)
            batch = self._repeats.leave_out(batch, self._now_ns() + future_event_times.MAX_AHEAD_NS)
            self._counts.duplicates(received - len(batch))
        if not batch:
            return
        if self._replaying:
            self._count_replayed(batch)
        self._repeats.add(batch)
        batch, replaced = future_event_times.replace_far_times(batch, self._now_ns())
        if replaced:
            self._runtime.skipped.add(skipped_data.FIELD, "the time of an event is more than a day ahead", replaced)
        self._cursor.advance(self._processor.process(batch))
        self._counts.processed(batch[-1], self._cursor.newest, now, self._now_ns)

    def _count_replayed(self, batch: Sequence[Event]) -> None:
        replayed = sum(event.origin is Origin.REPLAY for event in batch)
        self._counts.replayed(replayed)
        self._gaps.replayed(replayed)
        self._replaying = batch[-1].origin is Origin.REPLAY

    def data_skipped(self, what: str, number: int) -> None:
        """Counts data that the engine's adapter could not decode. An event that was left out may have been a change, so
        it causes a new list."""
        self._counts.skipped(what, number)
        if what == skipped_data.EVENT:
            self._events_lost(GapReason.EVENTS_UNREADABLE, self._cursor.newest, self._cursor.newest)

    def _drop(self, batch: Sequence[Event]) -> None:
        self._counts.dropped(number_of(batch))
        self._events_lost(GapReason.EVENTS_DROPPED, batch[0].at_ns, batch[-1].at_ns)

    def _events_lost(self, reason: GapReason, from_ns: int, until_ns: int) -> None:
        now = self._now_ns()
        until_ns = min(until_ns or now, now)
        self._gaps.events_lost(reason, min(from_ns or now, now), until_ns)
        self._mirror.events_lost(until_ns + 1)
        self._relister.events_lost()

    def _report_gap(self, gap: Gap) -> None:
        self._counts.gap(gap)
        self._processor.report_gap(gap)

    async def _list_forever(self, queue: EventQueue, since: int | None) -> None:
        """Runs the relister's lists. A list that fails ends the connection."""
        if since is not None:
            await asyncio.sleep(self._timing.replay_wait)
        try:
            await self._relister.list_forever()
        except errors.QuarterdeckError as error:
            # The stream has been silent too: since when the engine did not answer is not known.
            self._silent_since = int(self._mirror.last_contact * 1e9)
            queue.close(error)

    async def _check_silence(self, reason: errors.EngineError) -> None:
        """Finds out whether the engine still answers lists. If it does not, commands need not wait for it."""
        if isinstance(reason, errors.TimedOut):
            self._mirror.engine_silent(reason)
        try:
            await self._relister.list_engine(self._timing.silence_timeout)
        except NO_ANSWER as error:
            self._mirror.engine_silent(error)
        except errors.QuarterdeckError:
            self._mirror.engine_answers()
        else:
            self._mirror.engine_answers()

    def _stream_opened(self, since: int | None) -> None:
        self._counts.stream_opened()
        self._processor.stream_opened()
        self._gaps.stream_opened(self._cursor.newest, replays=self._runtime.replays_events)
        self._mirror.stream_opened(self._cursor.start() if since is None else since)
        self._relister.batch_received()
        self._replaying = since is not None
        if since is not None:
            self._repeats.expect(since, self._cursor.newest + int(self._timing.overlap * 1e9))
        if self._log_opening:
            self._log_opening = False
            log.info("The event stream was opened.", engine=str(self._runtime.ref), resumed=since is not None)

    def _stream_lost(self, fault: str) -> None:
        self._saver.watched()
        self._gaps.stream_lost(self._silent_since or self._now_ns(), fault)
        self._silent_since = None
        self._mirror.stream_lost(fault)
        self._processor.stream_lost()
        self._relister.stream_lost()
        self._counts.stream_lost()

    # ── details ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _resume_point(self) -> int | None:
        """The time to subscribe from; None at the very first start. The cursor is stored by the engine's id, and the
        engine may have to be asked for that first."""
        if not self._runtime.engine_id:
            await self._relister.list_engine()
        if self._cursor.engine != self._runtime.engine_id:
            await self._saver.load(self._runtime.ref, self._runtime.engine_id)
            self._counts.watch_saved(self._cursor.age_seconds)
        return self._cursor.resume_from(int(self._timing.overlap * 1e9))
