"""Reads the resource usage of one engine's running containers at regular intervals, and stores it in the mirror.

Local containers are read from the kernel's files, which costs the engine nothing: every INTERVAL_SECONDS. If the engine
itself has to be asked, it is asked only every ENGINE_INTERVAL_SECONDS, and less often if it takes long. An engine that
does not answer is asked again at the next interval. An engine whose owner forbids `container.stats` is not read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from core import errors, metrics
from core.model.containers import LIVE_STATES
from core.model.refs import Ref
from core.model.resource_usage import ReadUsage, Usages
from core.ports import Call
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger()
INTERVAL_SECONDS = 15.0
ENGINE_INTERVAL_SECONDS = 60.0
RETRY_SECONDS = 2.0  # until the containers are known
MAX_SHARE = 0.02  # of the time that an engine may be busy with our readings
TIMEOUT_SECONDS = 20.0


class UsageSampler:
    """Reads the usage of one engine until `run` is cancelled."""

    def __init__(self, mirror: Mirror, counts: metrics.Metrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._mirror = mirror
        self._counts = counts
        self._clock = clock
        self._fault = ""

    async def run(self) -> None:
        while True:
            seconds = await self.sample()
            await asyncio.sleep(seconds)

    async def sample(self) -> float:
        """Reads once. Returns the seconds to wait before the next reading."""
        if not self._mirror.live:
            return RETRY_SECONDS
        if ReadUsage.verb not in self._mirror.verbs:
            return INTERVAL_SECONDS
        running = tuple([row.ref for row in self._mirror.containers.values() if row.state in LIVE_STATES])
        began = self._clock()
        found = await self._read(running) if running else Usages(rows=(), from_kernel=True)
        took = self._clock() - began
        if found is not None:
            self._mirror.usage.add(found.rows)
        if found is not None and found.from_kernel:
            interval = INTERVAL_SECONDS
        else:
            interval = max(ENGINE_INTERVAL_SECONDS, took / MAX_SHARE)
        self._mirror.usage.interval = interval
        labels = metrics.engine_labels(self._mirror.ref)
        self._counts.usage_interval_seconds.labels(*labels).set(interval)
        self._counts.usage_read_duration_seconds.labels(*labels).set(took)
        return max(1.0, interval - took)

    async def _read(self, running: tuple[Ref, ...]) -> Usages | None:
        deadline = datetime.now(UTC) + timedelta(seconds=TIMEOUT_SECONDS)
        call = Call(id="usage", who="watch", deadline=deadline, invocation="")
        action = ReadUsage(engine=self._mirror.ref, running=running)
        try:
            found = await self._mirror.run(action, call)
        except errors.QuarterdeckError as error:
            self._log(error.full_message())
            return None
        self._log("")
        return found

    def _log(self, fault: str) -> None:
        """Logs a failure when its reason changes."""
        if fault and fault != self._fault:
            log.warning("The usage of containers could not be read.", engine=str(self._mirror.ref), reason=fault)
        self._fault = fault
