"""Lists and inspects the containers of one engine while its event stream runs, and updates the mirror with the results.

The engine stores few past events, or does not store them. So a list is made at every connection, every few minutes,
after a silence and after a loss of events. Changes that only a list shows become RESYNC events. The list at the very
first start yields no events, because there is nothing to compare it with. A list that fails ends the connection. An
inspection that fails is repeated, or waits for the next list.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from collectors import container_list_diff
from collectors.cursor import Cursor
from collectors.event_processor import EventProcessor
from collectors.gap_tracker import GapTracker
from collectors.stream_metrics import StreamMetrics
from collectors.watch_timing import WatchTiming
from core import errors
from core.model.actions import DescribeEngine, ListContainers
from core.model.containers import Container, Containers
from core.model.events import Event
from core.ports import Call
from core.repeated_log import RepeatedLog
from runtimes.formats import status_text
from runtimes.inventory import state_updates
from runtimes.inventory.mirror import Mirror, WatchedEngine

log = structlog.get_logger()

NO_ANSWER = (errors.Unreachable, errors.TimedOut)
MAX_DESCRIBED_AT_ONCE = 64
CLOCK_RESOLUTION = 0.001  # seconds: a timer may fire so much too early, and must not be set again and again


class Relister:
    """Lists and inspects one engine. `list_forever` and `inspect_forever` run side by side while a stream is open.
    `cursor` belongs to the watcher; the relister only reads it. `gaps` receives what a list found, and ends a gap."""

    def __init__(
        self,
        runtime: WatchedEngine,
        mirror: Mirror,
        processor: EventProcessor,
        cursor: Cursor,
        *,
        gaps: GapTracker,
        counts: StreamMetrics,
        timing: WatchTiming,
    ) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._processor = processor
        self._cursor = cursor
        self._gaps = gaps
        self._counts = counts
        self._timing = timing
        self._now_ns = cursor.now_ns
        self._last_batch_at = 0.0  # loop time
        self._ever_listed = False
        self._compared = False
        self._losses = 0
        self._relist_now = asyncio.Event()
        self._repeated_log = RepeatedLog(lambda: asyncio.get_running_loop().time())

    async def list_forever(self) -> None:
        """Lists now, every few minutes, after a silence and after a loss. Raises the error of a list that fails."""
        while True:
            await self.relist()
            if self._gaps.may_be_replayed:
                await asyncio.sleep(self._timing.settle)
            self._end_gap()
            await self._until_due()

    async def relist(self) -> None:
        """Lists once. Raises the error of a list that fails."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = "failed"
        try:
            await self._relist()
            outcome = "ok"
        finally:
            self._counts.listed(outcome, loop.time() - began)

    async def inspect_forever(self) -> None:
        """Inspects the containers that the mirror marks dirty, shortly after."""
        while True:
            await self._mirror.dirtied.wait()
            await asyncio.sleep(self._timing.describe_wait)
            if ids := self._mirror.pop_dirty(MAX_DESCRIBED_AT_ONCE):
                await self._describe(ids)

    async def describe_engine(self) -> None:
        """Reads the version of the engine once. An engine that does not answer is reported by its lists."""
        with contextlib.suppress(errors.QuarterdeckError):
            engine = await self._mirror.run(DescribeEngine(engine=self._runtime.ref), self._call())
            if not engine.fault:
                self._counts.engine_described(engine)

    def batch_received(self) -> float:
        """Restarts the time of silence: the stream sent a batch, or was opened. Returns the time of the event loop."""
        self._last_batch_at = at = asyncio.get_running_loop().time()
        return at

    def events_lost(self) -> None:
        """Makes a list due at once, since events were dropped."""
        self._losses += 1
        self._relist_now.set()

    def stream_lost(self) -> None:
        """Cancels a list that is due: the next stream begins with one."""
        self._relist_now.clear()

    async def list_engine(self, seconds: float | None = None) -> Containers:
        """The engine's own list. An engine without containers is asked for its health, and has an empty list.
        `seconds`: by default those of the timing."""
        try:
            listed = await self._list(seconds or self._timing.list_timeout)
        except NO_ANSWER:
            self._counts.engine_up(up=False)
            raise
        self._counts.engine_up(up=True)
        return listed

    async def _list(self, seconds: float) -> Containers:
        call = self._call(seconds)
        try:
            return await self._runtime.run(ListContainers(engine=self._runtime.ref, fresh=True), call)
        except errors.Unsupported:
            engine = await self._runtime.run(DescribeEngine(engine=self._runtime.ref), call)
        if engine.fault:
            raise errors.Unreachable(engine.fault)
        return Containers(rows=())

    def _call(self, seconds: float | None = None) -> Call:
        deadline = datetime.now(UTC) + timedelta(seconds=seconds or self._timing.list_timeout)
        return Call(id="watch", who="watch", deadline=deadline, invocation="")

    def _end_gap(self) -> None:
        """Ends the pending gap, unless events were lost during the list: then the next list ends it."""
        if not self._relist_now.is_set():
            self._gaps.listed(compared=self._compared)

    async def _until_due(self) -> None:
        loop, timing = asyncio.get_running_loop(), self._timing
        listed = loop.time()
        while not self._relist_now.is_set():
            due = min(listed + timing.relist_every, max(self._last_batch_at, listed) + timing.max_silence)
            if loop.time() >= due - CLOCK_RESOLUTION:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._relist_now.wait()
        await asyncio.sleep(timing.forced_relist_wait)
        self._relist_now.clear()

    async def _relist(self) -> None:
        baseline = not self._ever_listed and self._cursor.stored is None
        since_ns = 0 if self._ever_listed else self._cursor.stored or 0
        at, losses = self._cursor.newest, self._losses
        rows = await self._with_details((await self.list_engine()).rows)

        def missed_events() -> list[Event]:
            return container_list_diff.compute_missed_events(
                self._mirror.reported(),
                rows,
                since_ns=since_ns,
                at_ns=self._now_ns(),
                skip=self._mirror.changed_after(at),
                partly_known=self._mirror.partly_known,
                last_known=self._mirror.last_known_row,
            )

        if not baseline and missed_events():
            await asyncio.sleep(self._timing.settle)
            if events := missed_events():
                log.info(
                    "A new list of the engine's containers showed changes whose events were missed.",
                    engine=str(self._runtime.ref),
                    events=len(events),
                )
                self._counts.resynced(len(events))
                self._gaps.resynced(len(events))
                self._processor.process(events)
        self._mirror.replace(rows.values(), at)
        knew = self._cursor.containers_known and ListContainers.verb in self._runtime.verbs
        self._compared = self._ever_listed or knew
        self._ever_listed = True
        if losses != self._losses:
            # Events were lost during the list; whether the list contains their changes is not known.
            self._mirror.events_lost(self._now_ns())

    async def _with_details(self, listed: Sequence[Container]) -> Mapping[str, Container]:
        """The rows by id. A row without known details, or one that looks changed, is completed by an inspection."""
        rows = {row.ref.id: row for row in listed}
        now = self._now_ns() / 1e9
        wanted = [row.ref.id for row in listed if row.restarts is None and self._looks_changed(row, now)]
        if not wanted:
            return rows
        try:
            details = await self._runtime.describe(wanted, self._timing.describe_timeout)
        except (errors.QuarterdeckError, TimeoutError) as error:
            if times := self._repeated_log.due(str(error)):
                log.warning(
                    "Containers were listed without their details.",
                    engine=str(self._runtime.ref),
                    reason=str(error),
                    times=times,
                )
            return rows
        for container_id, found in details.items():
            if found is None:
                rows.pop(container_id, None)
            elif container_id in rows:
                rows[container_id] = state_updates.apply_inspection(rows[container_id], found)
        return rows

    def _looks_changed(self, row: Container, now: float) -> bool:
        known = self._mirror.containers.get(row.ref.id)
        return (
            known is None
            or row.ref.id in self._mirror.partly_known
            or known.restarts is None
            or known.state != row.state
            # A restart without an event: the engine reports “Up 3 seconds” where the mirror expects “Up 2 hours”.
            or status_text.format_status(known, now) != row.status
        )

    async def _describe(self, ids: Sequence[str]) -> None:
        at = self._cursor.newest
        try:
            self._mirror.apply_inspections(await self._runtime.describe(ids, self._timing.describe_timeout), at)
        except (errors.Rejected, errors.InvalidResponse) as error:
            # One container that cannot be inspected must not prevent the others; the next list marks it again.
            if len(ids) == 1:
                log.warning(
                    "A container could not be inspected.",
                    engine=str(self._runtime.ref),
                    id=ids[0][:12],
                    reason=error.full_message(),
                )
            else:
                for container_id in ids:
                    await self._describe([container_id])
        except (errors.QuarterdeckError, TimeoutError):
            for container_id in ids:
                self._mirror.mark_dirty(container_id)
            await asyncio.sleep(self._timing.describe_retry)
