"""Removes from the store the incidents that ended more than a week ago, and those that cannot be decoded.

If more than MAX_INCIDENTS are left, it also removes those of them that ended first.
"""

from __future__ import annotations

import time

from bot.notify.incident_writer import decode_incident
from core.model.incidents import RESOLVED_DAYS, IncidentState
from core.store.incidents import IncidentStore

KEEP_NS = RESOLVED_DAYS * 86_400 * 1_000_000_000
MAX_INCIDENTS = 10_000


async def remove_old_incidents(store: IncidentStore, *, now_ns: int | None = None) -> int:
    """Returns how many were removed. Raises StoreError."""
    now = time.time_ns() if now_ns is None else now_ns
    removed: list[str] = []
    ended: list[tuple[int, str]] = []
    stored = 0
    async for key, value in store.each_incident():
        stored += 1
        incident = decode_incident(value)
        if incident is None or (incident.state is IncidentState.RESOLVED and now - incident.changed_ns > KEEP_NS):
            removed.append(key)
        elif incident.state is IncidentState.RESOLVED:
            ended.append((incident.changed_ns, key))
    excess = stored - len(removed) - MAX_INCIDENTS
    if excess > 0:
        removed += [key for _, key in sorted(ended)[:excess]]
    await store.remove_incidents(removed)
    return len(removed)
