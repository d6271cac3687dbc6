"""Elects a leader among the processes that share a store, for work that must be done by one process only.

There are two leases, and each has its own leader: `schedule` for the shared recurring jobs, and `posting` for the
messages about incidents. The leader holds the lease and renews it. If it dies, its lease ends, and another process
takes it. If the store does not answer, the leader stops leading before its lease ends by the server's clock, so there
are never two leaders at once. The time of a lease is counted from the moment before its request was sent, because the
answer may be late.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from core import errors, metrics
from core.repeated_log import RepeatedLog
from core.store.records import Lease, LeaseConflict, LeaseRequest

log = structlog.get_logger(__name__)
LEASE_KEY = "schedule"
POSTING = "posting"
OUTLETS = "outlets"
WORK = {
    LEASE_KEY: (
        "This process became the leader. It runs the recurring jobs that only one process may run.",
        "This process is not the leader any more. It stopped the recurring jobs that only one process may run.",
        "The lease of the leader could not be renewed.",
    ),
    POSTING: (
        "This process started posting incidents.",
        "This process stopped posting incidents.",
        "The lease for posting incidents could not be renewed.",
    ),
    OUTLETS: (
        "This process started sending incidents to other systems.",
        "This process stopped sending incidents to other systems.",
        "The lease for sending incidents to other systems could not be renewed.",
    ),
}
"""What the log says when a process begins to lead, stops, and cannot renew its lease, by the key of the lease."""
LEASE_SECONDS = 30.0
RENEWALS = 3  # within the time of one lease
SAFETY = 0.1  # of the lease's time, by which the leader stops earlier: two clocks may not run equally fast


class LeaseStore(Protocol):
    """Gives leases; see core.store.leases_and_disk_use."""

    async def take_lease(self, request: LeaseRequest, /) -> Lease | LeaseConflict: ...

    async def renew_leases(self, leases: Sequence[Lease], ttl: float, /) -> int: ...

    async def release(self, leases: Sequence[Lease], /) -> int: ...


class Leadership:
    """Holds the lease of this process, if it has it. `replica`: the name of this process. `key`: what is led: the
    shared jobs, or something else with a lease of its own. `on_lost` is called when this process stops leading."""

    def __init__(
        self,
        leases: LeaseStore,
        counts: metrics.Metrics,
        *,
        replica: str,
        key: str = LEASE_KEY,
        seconds: float = LEASE_SECONDS,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._leases = leases
        gauges = {LEASE_KEY: counts.schedule_leader, POSTING: counts.posting_leader, OUTLETS: counts.outlet_leader}
        self._gauge = gauges[key]
        self._replica = replica
        self._key = key
        self._seconds = seconds
        self.on_lost = on_lost
        self._lease: Lease | None = None
        self._end: asyncio.TimerHandle | None = None
        self._store_down = RepeatedLog()

    @property
    def held(self) -> bool:
        """Whether this process leads now."""
        return self._end is not None

    async def keep(self) -> None:
        """Takes and renews the lease for ever. Never returns."""
        while True:
            await self.renew()
            await asyncio.sleep(self._seconds / RENEWALS)

    async def renew(self) -> None:
        """Takes or renews the lease once. Does not raise if the store fails."""
        began = asyncio.get_running_loop().time()
        try:
            if self._lease is not None and not await self._leases.renew_leases([self._lease], self._seconds):
                self._lease = None
                self._stop("its lease ended, because the store did not answer in time")
            if self._lease is None:
                request = LeaseRequest(key=self._key, record=self._replica.encode(), ttl=self._seconds)
                taken = await self._leases.take_lease(request)
                self._lease = taken if isinstance(taken, Lease) else None
        except errors.StoreError as error:
            if times := self._store_down.due(error.message):
                log.warning(
                    WORK[self._key][2],
                    action=self._key,
                    reason=error.message,
                    times=times,
                )
            return
        self._store_down.ended()
        if self._lease is not None:
            self._lead_until(began + self._seconds * (1 - SAFETY))

    async def release(self) -> None:
        """Stops leading, so that another process can begin at once."""
        lease, self._lease = self._lease, None
        self._stop("")
        if lease is not None:
            with contextlib.suppress(errors.StoreError):
                await self._leases.release([lease])

    def _lead_until(self, at: float) -> None:
        loop = asyncio.get_running_loop()
        if self._end is None:
            log.info(WORK[self._key][0], action=self._key)
            self._gauge.set(1)
        else:
            self._end.cancel()
        self._end = loop.call_at(at, self._stop, "the store did not answer in time")

    def _stop(self, reason: str) -> None:
        if self._end is None:
            return
        self._end.cancel()
        self._end = None
        self._gauge.set(0)
        if reason:
            log.warning(WORK[self._key][1], action=self._key, reason=reason)
        self.on_lost()
