"""Caches slowly changing values of one engine: counts of resources, disk use, its file system and its units.

The disk use is measured by one caller at a time. Others wait for it and get the same measurement. Each caller gives the
maximum age of a measurement, because a measurement takes minutes on a large engine and slows it down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec

from core import errors
from core.model.disk_use import DiskUse, Filesystem, ResourceCounts
from core.model.refs import EngineRef
from core.model.units import Unit


class EngineReadings:
    """Holds the newest values of one engine; None before the first. `now`: our clock, in seconds since the epoch.
    `counts_at` and `units_at`: when these were read. `disk_use_interval`: seconds between two measurements, 0 before
    the first."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._measuring = asyncio.Lock()
        self.disk_use: DiskUse | None = None
        self.disk_use_interval = 0.0
        self.counts: ResourceCounts | None = None
        self.counts_at = 0.0
        self.filesystem: Filesystem | None = None
        self.units: Sequence[Unit] | None = None
        self.units_at = 0.0

    async def measure_disk_use(
        self, engine: EngineRef, measure: Callable[[], Awaitable[DiskUse]], deadline: datetime, max_age: float
    ) -> DiskUse:
        """Returns the newest measurement, if it is at most `max_age` seconds old, else the result of `measure`. If
        another caller is still measuring at the deadline, returns the last known measurement. Raises TimedOut if there
        is none."""
        try:
            async with asyncio.timeout((deadline - datetime.now(UTC)).total_seconds()):
                await self._measuring.acquire()
        except TimeoutError as error:
            if self.disk_use is not None:
                return self.disk_use
            raise errors.TimedOut(
                f"The disk use of {engine} is still being measured.",
                sent=False,
                hint="Give the command again in a minute.",
            ) from error
        try:
            known = self.disk_use
            if known is None or not 0 <= self._now() - known.read_at < max_age:
                began = self._now()
                known = await measure()
                self.disk_use = known = msgspec.structs.replace(
                    known, read_at=began, took=max(0.0, self._now() - began)
                )
            return known
        finally:
            self._measuring.release()
