"""One engine, watched for ever: its events go to the pipeline, its lists to the mirror, our place in them to the store.

Each connection subscribes from the last event known (a little earlier: engines sort and round as they please), waits
until the subscription stands and always lists, since engines' own memories of events are short or empty. Batches are
handed on in the engine's order and at least once; repeats of a replay are taken out as far as the last few thousand
events reach. Facts that only a list shows become RESYNC events, except at the very first start: what is true then is
the baseline. The reading task does nothing but read, because a reader that stalls slows the engine down; its queue is
bounded, what does not fit is dropped, counted, and forces a list.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from collectors import place, resync
from collectors.inbox import Inbox
from collectors.pipeline import Pipeline
from core import errors, metrics
from core.model.actions import ListContainers
from core.model.events import Event
from core.model.things import Container
from core.ports import Call
from runtimes import mirror as mirrors
from runtimes import status, transitions

log = structlog.get_logger()

RECENT_EVENTS = 4096
DESCRIBED_AT_ONCE = 64
# The loop may not be held longer than a few milliseconds, or the reader misses its turn.
EVENTS_A_TURN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and how patient a watch is; all in seconds."""

    first_pause: float = 0.2
    """Before another attempt. The most it may be doubles with every failure; chance picks between this and that."""
    longest_pause: float = 30.0
    healthy_after: float = 60.0
    """A stream that stood this long was healthy: the next pause is short again."""
    stands_within: float = 15.0
    overlap: float = 1.0
    replay_first: float = 0.05
    """After a resumed stream stands: time for the engine to send what it remembers before we ask for the list."""
    relist_every: float = 300.0
    silent_for: float = 45.0
    """Docker sends no pings: a stream silent for this long is doubted, and a list tells whether the engine is there."""
    forced_relist_gap: float = 1.0
    patience: float = 10.0
    describe_patience: float = 30.0
    settle: float = 0.25
    """Facts of a list get this long to arrive as events, before they count as never told."""
    describe_window: float = 0.05
    describe_again: float = 1.0
    cursor_every: float = 1.0


class Watch:
    """One engine's. Cancel `run` to end it; the runtime stays open, for whoever opened it to close."""

    def __init__(
        self,
        runtime: mirrors.Watched,
        mirror: mirrors.Mirror,
        pipeline: Pipeline,
        cursors: place.Cursors,
        counts: metrics.Metrics,
        *,
        pace: Pace | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._pipeline = pipeline
        self._place = place.Place(cursors, now_ns)
        self._counts = counts
        self._pace = pace or Pace()
        self._now_ns = now_ns
        self._chance = chance
        self._heard_at = 0.0  # loop time of the last batch
        self._ever_listed = False
        self._labels: tuple[str, str] | None = None
        self._recent: deque[Event] = deque(maxlen=RECENT_EVENTS)
        self._repeats: set[tuple[int, str, str, str]] = set()
        self._repeats_until = 0
        self._dropped = 0
        self._relist_now = asyncio.Event()

    async def run(self) -> None:
        failures = 0
        try:
            while True:
                stood = await self.once()
                failures = 0 if stood >= self._pace.healthy_after else failures + 1
                await asyncio.sleep(self.pause(failures))
        finally:
            await self._place.save()

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
            inbox = Inbox()
            async with asyncio.TaskGroup() as group:
                name = f"watch {self._runtime.ref}"
                tasks = [group.create_task(self._read(inbox, since), name=f"{name}: read")]
                if await self._stands(inbox):
                    stood = loop.time()
                    self._up(since)
                    tasks += [
                        group.create_task(self._keep_listed(inbox, since), name=f"{name}: list"),
                        group.create_task(self._keep_described(), name=f"{name}: describe"),
                        group.create_task(self._keep_cursor(), name=f"{name}: cursor"),
                    ]
                    await self._hand_on(inbox)
                for task in tasks:
                    task.cancel()
            reason = inbox.reason
        except errors.QuarterdeckError as error:
            reason = error
        finally:
            self._down()
        log.info(
            "The event stream ended." if stood is not None else "The engine cannot be watched yet.",
            engine=str(self._runtime.ref),
            reason=reason.say() if reason else "the engine closed it",
            stood=round(loop.time() - stood, 1) if stood is not None else None,
        )
        return 0.0 if stood is None else loop.time() - stood

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, inbox: Inbox, since: int | None) -> None:
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

    async def _stands(self, inbox: Inbox) -> bool:
        try:
            async with asyncio.timeout(self._pace.stands_within):
                await inbox.filled.wait()
        except TimeoutError:
            inbox.close(errors.TimedOut(f"{self._runtime.ref} did not open its event stream.", sent=True))
        return bool(inbox.batches)

    async def _hand_on(self, inbox: Inbox) -> None:
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
        self._heard_at = asyncio.get_running_loop().time()
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
        self._dropped += 1
        self._mirror.lost_events(batch[-1].at_ns + 1)
        self._relist_now.set()

    def _up(self, since: int | None) -> None:
        self._counts.stream_up.labels(*self._label()).set(1)
        self._counts.stream_connects_total.labels(*self._label()).inc()
        self._mirror.stands(self._place.begin() if since is None else since)
        self._heard_at = asyncio.get_running_loop().time()
        self._repeats = {event.identity() for event in self._recent if since is not None and event.at_ns >= since}
        self._repeats_until = self._place.heard + int(self._pace.overlap * 1e9)
        log.info("The event stream stands.", engine=str(self._runtime.ref), resumed=since is not None)

    def _down(self) -> None:
        self._mirror.went_down()
        self._relist_now.clear()
        self._counts.stream_up.labels(*self._label()).set(0)

    # ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_listed(self, inbox: Inbox, since: int | None) -> None:
        """Lists now, every few minutes, after silence and after a loss; a list that fails ends the connection."""
        if since is not None:
            await asyncio.sleep(self._pace.replay_first)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            outcome = "failed"
            try:
                await self._relist()
                outcome = "ok"
            except errors.QuarterdeckError as error:
                inbox.close(error)
                return
            finally:
                self._counts.relists_total.labels(*self._label(), outcome).inc()
                self._counts.relist_duration_seconds.labels(*self._label()).observe(loop.time() - began)
            await self._until_due()

    async def _until_due(self) -> None:
        loop, pace = asyncio.get_running_loop(), self._pace
        listed = loop.time()
        while not self._relist_now.is_set():
            due = min(listed + pace.relist_every, max(self._heard_at, listed) + pace.silent_for)
            if loop.time() >= due:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._relist_now.wait()
        await asyncio.sleep(pace.forced_relist_gap)
        self._relist_now.clear()

    async def _relist(self) -> None:
        baseline = not self._ever_listed and self._place.kept is None
        younger_than = 0 if self._ever_listed else self._place.kept or 0
        at, dropped = self._place.heard, self._dropped
        found = await self._runtime.run(ListContainers(engine=self._runtime.ref, fresh=True), self._call())
        rows = await self._detailed(found.rows)

        def untold() -> list[Event]:
            return resync.diff(
                self._mirror.told(),
                rows,
                since_ns=younger_than,
                at_ns=self._now_ns(),
                skip=self._mirror.newer_than(at),
            )

        if not baseline and untold():
            await asyncio.sleep(self._pace.settle)
            if events := untold():
                log.info("The list shows what no event told.", engine=str(self._runtime.ref), events=len(events))
                self._counts.resync_events_total.labels(*self._label()).inc(len(events))
                self._pipeline.take(events)
        self._mirror.replace(rows.values(), at)
        self._ever_listed = True
        if dropped != self._dropped:
            # Events went missing while we listed; whether the list saw what they told cannot be known.
            self._mirror.lost_events(self._now_ns())

    async def _detailed(self, listed: Sequence[Container]) -> Mapping[str, Container]:
        """The rows by id, those we do not know well or that look changed completed by an inspection."""
        rows = {row.ref.id: row for row in listed}
        now = self._now_ns() / 1e9
        wanted = [row.ref.id for row in listed if row.restarts is None and self._looks_changed(row, now)]
        if not wanted:
            return rows
        try:
            details = await self._runtime.describe(wanted, self._pace.describe_patience)
        except (errors.QuarterdeckError, TimeoutError) as error:
            log.warning("The list goes without details.", engine=str(self._runtime.ref), reason=str(error))
            return rows
        for thing, found in details.items():
            if found is None:
                rows.pop(thing, None)
            elif thing in rows:
                rows[thing] = transitions.with_detail(rows[thing], found)
        return rows

    def _looks_changed(self, row: Container, now: float) -> bool:
        known = self._mirror.containers.get(row.ref.id)
        return (
            known is None
            or known.restarts is None
            or known.state != row.state
            # Restarted while we were away: the engine says “Up 3 seconds” where we would say “Up 2 hours”.
            or status.text(known, now) != row.status
        )

    # ── the details ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_described(self) -> None:
        while True:
            await self._mirror.dirtied.wait()
            await asyncio.sleep(self._pace.describe_window)  # one look is enough for a burst about one container
            if things := self._mirror.take_dirty(DESCRIBED_AT_ONCE):
                await self._describe(things)

    async def _describe(self, things: Sequence[str]) -> None:
        at = self._place.heard
        try:
            self._mirror.update(await self._runtime.describe(things, self._pace.describe_patience), at)
        except (errors.Rejected, errors.Garbled) as error:
            # One container that cannot be inspected must not keep the others from it; the next list has it again.
            if len(things) == 1:
                log.warning("A container cannot be inspected.", id=things[0][:12], reason=error.say())
            else:
                for thing in things:
                    await self._describe([thing])
        except (errors.QuarterdeckError, TimeoutError):
            for thing in things:
                self._mirror.look_again(thing)
            await asyncio.sleep(self._pace.describe_again)

    # ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _resume_point(self) -> int | None:
        """From when on to subscribe; None at the very first start. Our place is kept under the engine's id, and a
        first contact may be needed to learn that."""
        if not self._place.engine:
            if not self._runtime.engine_id:
                await self._runtime.run(ListContainers(engine=self._runtime.ref, fresh=True), self._call())
            await self._place.load(self._runtime.engine_id)
        return self._place.resume(int(self._pace.overlap * 1e9))

    async def _keep_cursor(self) -> None:
        while True:
            await asyncio.sleep(self._pace.cursor_every)
            await self._place.save()

    def _call(self) -> Call:
        deadline = datetime.now(UTC) + timedelta(seconds=self._pace.patience)
        return Call(id="watch", who="watch", deadline=deadline, invocation="")

    def _label(self) -> tuple[str, str]:
        labels = metrics.labels_of(self._runtime.ref)
        if self._labels is not None and self._labels != labels:
            # At first contact the engine told its own name for its host; the series under our guess must not linger.
            self._counts.stream_up.remove(*self._labels)
        self._labels = labels
        return labels
