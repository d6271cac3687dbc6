"""What is asked of one engine beside its stream: whole lists, and inspections of what is marked dirty.

Out: rows and details to the mirror, each with our place in the events when it was asked for, and RESYNC events for what
only a list shows, except at the very first start: what is true then is the baseline. Engines' own memories of events
are short or empty, so every connection lists, and again every few minutes, after silence and after a loss. A list that
fails ends the connection; an inspection that fails is tried again or waits for the next list.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from collectors import cursor, diff, timing
from collectors.pipeline import Pipeline
from core import errors, metrics
from core.model.actions import DescribeEngine, ListContainers
from core.model.containers import Container, Containers
from core.model.events import Event
from core.ports import Call
from runtimes.formats import status_text
from runtimes.inventory import mirror as inventory_mirror
from runtimes.inventory import transitions as inventory_transitions

log = structlog.get_logger()

DESCRIBED_AT_ONCE = 64


class Relister:
    """One engine's. `keep_listed` and `keep_described` run side by side while a stream stands; `place` is the
    watch's."""

    def __init__(
        self,
        runtime: inventory_mirror.Watched,
        mirror: inventory_mirror.Mirror,
        pipeline: Pipeline,
        place: cursor.Cursor,
        counts: metrics.Metrics,
        *,
        pace: timing.Timing,
        now_ns: Callable[[], int],
    ) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._pipeline = pipeline
        self._place = place
        self._counts = counts
        self._pace = pace
        self._now_ns = now_ns
        self._heard_at = 0.0  # loop time of the last batch
        self._ever_listed = False
        self._losses = 0
        self._relist_now = asyncio.Event()

    def heard(self) -> None:
        """The stream said something just now, or began to stand."""
        self._heard_at = asyncio.get_running_loop().time()

    def lost(self) -> None:
        """Events went missing: a list is due at once."""
        self._losses += 1
        self._relist_now.set()

    def stream_lost(self) -> None:
        """The stream is lost; the next one lists anyway."""
        self._relist_now.clear()

    async def contact(self) -> Containers:
        """The engine's own list. One that has no containers is asked how it does, and has an empty one."""
        deadline = datetime.now(UTC) + timedelta(seconds=self._pace.patience)
        call = Call(id="watch", who="watch", deadline=deadline, invocation="")
        try:
            return await self._runtime.run(ListContainers(engine=self._runtime.ref, fresh=True), call)
        except errors.Unsupported:
            told = await self._runtime.run(DescribeEngine(engine=self._runtime.ref), call)
        if told.fault:
            raise errors.Unreachable(told.fault)
        return Containers(rows=())

    async def keep_listed(self) -> None:
        """Lists now, every few minutes, after silence and after a loss; for ever. Raises what makes a list fail."""
        while True:
            await self.relist()
            await self._until_due()

    async def relist(self) -> None:
        """Lists once. Raises what makes it fail."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = "failed"
        try:
            await self._relist()
            outcome = "ok"
        finally:
            self._counts.relists_total.labels(*self._label(), outcome).inc()
            self._counts.relist_duration_seconds.labels(*self._label()).observe(loop.time() - began)

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
        at, losses = self._place.heard, self._losses
        rows = await self._detailed((await self.contact()).rows)

        def untold() -> list[Event]:
            return diff.diff(
                self._mirror.known(),
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
        if losses != self._losses:
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
                rows[thing] = inventory_transitions.with_detail(rows[thing], found)
        return rows

    def _looks_changed(self, row: Container, now: float) -> bool:
        known = self._mirror.containers.get(row.ref.id)
        return (
            known is None
            or known.restarts is None
            or known.state != row.state
            # Restarted while we were away: the engine says “Up 3 seconds” where we would say “Up 2 hours”.
            or status_text.text(known, now) != row.status
        )

    async def keep_described(self) -> None:
        """Inspects what the mirror marks dirty, soon after; for ever."""
        while True:
            await self._mirror.dirtied.wait()
            await asyncio.sleep(self._pace.describe_window)  # one look is enough for a burst about one container
            if things := self._mirror.take_dirty(DESCRIBED_AT_ONCE):
                await self._describe(things)

    async def _describe(self, things: Sequence[str]) -> None:
        at = self._place.heard
        try:
            self._mirror.update(await self._runtime.describe(things, self._pace.describe_patience), at)
        except (errors.Rejected, errors.InvalidResponse) as error:
            # One container that cannot be inspected must not keep the others from it; the next list has it again.
            if len(things) == 1:
                log.warning("A container cannot be inspected.", id=things[0][:12], reason=error.full_message())
            else:
                for thing in things:
                    await self._describe([thing])
        except (errors.QuarterdeckError, TimeoutError):
            for thing in things:
                self._mirror.mark_dirty(thing)
            await asyncio.sleep(self._pace.describe_again)

    def _label(self) -> tuple[str, str]:
        return metrics.engine_labels(self._runtime.ref)
