"""Decides which changed incidents are read from the store now. Remembers which incidents wait, so that those are not
read every second.

An incident is read again when it changes, when its time has come, or when somebody changed a silence, a maintenance
window, a mute or a route. An incident that waits for another incident is read again after a few seconds. Nothing of
this is stored: after a restart, each incident is read once. Thousands may wait, for example while they are silenced. So
the store's list of changed incidents is read in parts. The next part is read at once if the list has changed or if a
part is left. Otherwise the list is read every few seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from core.store.incidents import IncidentStore

RECHECK_SECONDS = 15.0
MAX_CHANGED = 20_000
PAGE = 500  # changed incidents that are listed at once


class IncidentReadSchedule:
    """Times are seconds since the epoch, but for those of changes, which are in ms. `count`: how many incidents have
    changed. `oldest`: when the first of them changed."""

    def __init__(self, store: IncidentStore) -> None:
        self._store = store
        self.count = 0
        self.oldest = 0.0
        self._until: dict[str, tuple[float, float]] = {}  # by key: until when it waits, and its change when it was read
        self._read: dict[str, float] = {}  # the change of each incident that was returned last
        self._state: tuple[int, float, float] | None = None
        self._next_list = self._recheck = 0.0
        self._settings: object = None

    async def ready(self, settings: object, now: float, limit: int) -> tuple[Sequence[str], bool]:
        """Returns the keys of at most `limit` changed incidents that must be read now, the oldest change first, and
        whether there are more. Raises StoreError."""
        if settings != self._settings:
            self._settings, self._state = settings, None
            self._until.clear()
        state = await self._store.changed_incidents_state()
        self.count, _, self.oldest = state
        if state != self._state or now >= self._next_list:
            found, more = await self._list(now, limit)
            self._state, self._next_list = None if more else state, now + RECHECK_SECONDS
        else:
            over = {key: change for key, (until, change) in self._until.items() if until <= now}
            found, more = dict(list(over.items())[:limit]), len(over) > limit
        for key in found:
            self._until.pop(key, None)
        self._read, self._recheck = found, now + RECHECK_SECONDS
        return list(found), more

    async def _list(self, now: float, limit: int) -> tuple[dict[str, float], bool]:
        found: dict[str, float] = {}
        for start in range(0, min(self.count, MAX_CHANGED), PAGE):
            for key, change in (await self._store.changed_incident_times(PAGE, start)).items():
                until, known = self._until.get(key, (0.0, 0.0))
                if until <= now or known != change:
                    if len(found) == limit:
                        return found, True
                    found[key] = change
        return found, False

    def left_over(self) -> None:
        """Says that some of the incidents that were returned last have to be read again the next time."""
        self._state = None

    def look_again(self, keys: Collection[str]) -> None:
        """Lets these incidents be read again at once."""
        for key in keys:
            if (waiting := self._until.get(key)) is not None:
                self._until[key] = (0.0, waiting[1])

    def forget(self, keys: Collection[str]) -> None:
        """Forgets these incidents, because people were told of them."""
        for key in keys:
            self._until.pop(key, None)

    def wait(self, key: str, until: float) -> None:
        """Leaves the incident alone until then; with 0, it waits for another incident, and is read again soon."""
        self._until[key] = (until or self._recheck, self._read.get(key, 0.0))
