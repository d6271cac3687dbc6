"""Renews the locks on the targets of a change (its leases) while the change runs.

A change may take an hour, but its leases are short, so that its targets are soon free if this process dies. While the
store cannot be reached, the leases are not renewed. They may then expire; the next renewal logs that, and the change
continues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from core import errors
from core.store.client import Store
from core.store.records import Lease

log = structlog.get_logger(__name__)
MARGIN_SECONDS = 30.0  # how much longer a lease lasts than its change may take
MAX_SECONDS = 120.0  # a lease is taken for this time at most, and MARGIN_SECONDS
INTERVAL_SECONDS = 30.0  # between two renewals


def lease_seconds(change_seconds: float) -> float:
    """Returns for how long to take the leases of a change that may take `change_seconds`."""
    return min(change_seconds, MAX_SECONDS) + MARGIN_SECONDS


async def renew_leases(store: Store, leases: Sequence[Lease], ttl: float) -> None:
    """Renews the leases for `ttl` seconds again and again, until it is cancelled or another process has one of them."""
    keys = [lease.key for lease in leases]
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            renewed = await store.renew_leases(leases, ttl)
        except errors.StoreError as error:
            log.warning(
                "The locks (leases) on the targets of a running change could not be renewed.",
                action="renew",
                targets=keys,
                reason=error.message,
            )
            continue
        if renewed < len(leases):
            log.error(
                "The locks (leases) on the targets of a running change expired. Another process may now change these"
                " targets.",
                action="renew",
                targets=keys,
            )
            return
