"""Reads which incidents still have to be posted, and when each of them changed.

Thousands may wait, for example while they are silenced. So the list is read only if its length or its newest change
differs from before, and otherwise every few seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.store.incidents import IncidentStore

MAX_CHANGED = 20_000
READ_SECONDS = 15.0


class ChangedIncidents:
    """Caches the list. Times are seconds since the epoch, but for those of the changes, which are in ms."""

    def __init__(self, store: IncidentStore) -> None:
        self._store = store
        self._times: Mapping[str, float] = {}
        self._state: tuple[int, float] | None = None
        self._next_read = 0.0

    async def times(self, now: float) -> Mapping[str, float]:
        """Returns the time of the newest change of each incident, by key, the oldest change first. Raises
        StoreError."""
        state = await self._store.changed_incidents_state()
        if state != self._state or now >= self._next_read:
            self._times = await self._store.changed_incident_times(MAX_CHANGED)
            self._state, self._next_read = state, now + READ_SECONDS
        return self._times
