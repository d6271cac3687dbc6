"""Measures the disk use of the engines, one after another, and stores each result in the engine's mirror (its cache in
memory).

A measurement is expensive for the engine. So the processes that share a store also share the results: one of them takes
the engine's lease, measures, and stores the result for one interval; the others read it. A failed measurement is also
stored, without a result, so that no process repeats it before the interval ends. If the store does not answer, only the
processes that have measured the engine before go on measuring it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from collectors import engine_polling
from core import errors
from core.model.disk_use import DiskUse, ReadDiskUse
from core.store.records import Lease, LeaseConflict, LeaseRequest
from runtimes.inventory.mirror import Mirror

INTERVAL_SECONDS = 15 * 60.0  # at least, between two measurements of one engine
DEADLINE_SECONDS = 120.0  # for one engine
STORE_SECONDS = 10.0  # for the calls to the store before and after a measurement


class SharedMeasurements(Protocol):
    """Stores the measurements by the engine's id, and gives leases; see core.store.leases_and_disk_use."""

    async def disk_use(self, engine: str, /) -> bytes | None: ...

    async def put_disk_use(self, engine: str, value: bytes, ttl: float, /) -> None: ...

    async def take_lease(self, request: LeaseRequest, /) -> Lease | LeaseConflict: ...

    async def release(self, leases: Sequence[Lease], /) -> int: ...


class Measurement(msgspec.Struct, frozen=True):
    """What is stored about one measurement. `use`: None if it failed."""

    use: DiskUse | None = None


class DiskUseReader:
    """Measures the engines that are due. `replica`: the name of this process. `interval`: seconds between two
    measurements of one engine."""

    def __init__(
        self,
        mirrors: Callable[[], Sequence[Mirror]],
        shared: SharedMeasurements,
        *,
        replica: str,
        interval: float = INTERVAL_SECONDS,
        deadline: float = DEADLINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mirrors = mirrors
        self._shared = shared
        self._replica = replica
        self._interval = interval
        self._deadline = deadline
        self._clock = clock
        self._measured_at: dict[str, float] = {}  # by engine: when this process measured it last, even if that failed
        self._busy = asyncio.Lock()

    async def run(self) -> engine_polling.PollingRound:
        async with self._busy:
            known = engine_polling.answering(self._mirrors(), ReadDiskUse.verb)
            now = self._clock()
            self._measured_at = {
                mirror.engine_id: at for mirror in known if (at := self._measured_at.get(mirror.engine_id)) is not None
            }
            due = [
                mirror
                for mirror in known
                if now - self._measured_at.get(mirror.engine_id, -self._interval) >= self._interval
            ]
            return await engine_polling.ask_each(due, self._update, seconds=self._deadline + STORE_SECONDS, at_once=1)

    async def _update(self, mirror: Mirror) -> None:
        engine = mirror.engine_id
        mirror.resources.disk_use_interval = self._interval
        try:
            if await self._adopt(mirror):
                return
            lease = await self._shared.take_lease(
                LeaseRequest(
                    key=f"disk-use:{engine}",
                    record=self._replica.encode(),
                    ttl=self._deadline + 2 * STORE_SECONDS,
                )
            )
        except errors.StoreError:
            if engine not in self._measured_at:
                raise  # another process may be measuring it
            await self._measure(mirror)
            return
        if isinstance(lease, LeaseConflict):
            return  # another process is measuring it; its result is read in the next round
        try:
            if not await self._adopt(mirror):
                await self._measure_and_share(mirror)
        finally:
            with contextlib.suppress(errors.StoreError):
                await self._shared.release([lease])

    async def _adopt(self, mirror: Mirror) -> bool:
        """Takes over the measurement that is stored. Returns whether there was one."""
        stored = await self._shared.disk_use(mirror.engine_id)
        if stored is None:
            return False
        with contextlib.suppress(msgspec.DecodeError):  # one of another version has other fields
            use, known = msgspec.json.decode(stored, type=Measurement).use, mirror.resources.disk_use
            if use is not None and (known is None or known.read_at < use.read_at):
                mirror.resources.disk_use = use
        return True

    async def _measure_and_share(self, mirror: Mirror) -> None:
        use: DiskUse | None = None
        try:
            use = await self._measure(mirror)
        except errors.QuarterdeckError:
            await self._share(mirror.engine_id, use)
            raise
        await self._share(mirror.engine_id, use)

    async def _share(self, engine: str, use: DiskUse | None) -> None:
        await self._shared.put_disk_use(engine, msgspec.json.encode(Measurement(use=use)), self._interval)

    async def _measure(self, mirror: Mirror) -> DiskUse:
        self._measured_at[mirror.engine_id] = self._clock()
        call = engine_polling.call_within(self._deadline, "disk use")
        max_age = min(self._interval, INTERVAL_SECONDS)
        try:
            async with asyncio.timeout(self._deadline):
                return await mirror.run(ReadDiskUse(engine=mirror.ref, max_age=max_age), call)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"{mirror.ref} did not measure its disk use within {self._deadline:.0f} s.",
                sent=False,
                hint="Check the load of the engine's disks. To measure less often or never, set `upkeep.disk_use` in"
                " quarterdeck.yaml to a longer interval or to off.",
            ) from error
