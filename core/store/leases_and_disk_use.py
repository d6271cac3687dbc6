"""Stores the leases of recurring jobs, and the disk use that they measure, for several processes.

A lease belongs to one process until its time ends by the server's clock, or until it is released. A measurement is
stored for as long as no process needs to measure again.
"""

from __future__ import annotations

from core.store import keys
from core.store.audit_trail import AuditTrail
from core.store.connection import milliseconds
from core.store.records import Lease, LeaseConflict, LeaseRequest


class LeaseAndDiskUseStore(AuditTrail):
    """Stores leases and measurements. Renew and release a lease with the methods of the invocations' leases."""

    async def take_lease(self, request: LeaseRequest) -> Lease | LeaseConflict:
        """Takes a lease that nobody holds. A lease taken by a call whose answer was lost ends by itself."""
        state, *values = await self._run(
            "lease",
            names=(keys.FENCE, keys.lease(request.key)),
            args=(request.record, milliseconds(request.ttl)),
        )
        if state == b"busy":
            record, remaining = values
            return LeaseConflict(key=request.key, record=record, remaining=max(0, remaining) / 1000)
        return Lease(key=request.key, fence=values[0])

    async def disk_use(self, engine: str) -> bytes | None:
        """Returns the last measurement of an engine; None if it is time to measure again."""
        async with self._call():
            value: bytes | None = await self._client.get(self._key(keys.disk_use(engine)))
        return value

    async def put_disk_use(self, engine: str, value: bytes, ttl: float) -> None:
        """Stores a measurement for `ttl` seconds. Raises StoreFull if the rest of the memory is reserved for
        changes."""
        self.check_reserve()
        async with self._call():
            await self._client.set(self._key(keys.disk_use(engine)), value, px=milliseconds(ttl))
