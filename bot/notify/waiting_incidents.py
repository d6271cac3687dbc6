"""Remembers which changed incidents wait for a time, so that they are not read every second.

An incident is read again when it changes, when its time has come, or when somebody changed a silence, a maintenance
window, a mute or a route. One that waits for another incident is read again after a few seconds. Nothing of this is
stored: after a restart, each incident is read once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

RECHECK_SECONDS = 15.0


class WaitingIncidents:
    """Times are seconds since the epoch, but for those of changes, which are only compared."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, float]] = {}  # by key: until when it waits, and its change when it was read
        self._changed: Mapping[str, float] = {}
        self._settings: object = None

    def ready(self, changed: Mapping[str, float], settings: object, now: float) -> Sequence[str]:
        """Returns those of the changed incidents, by key with the time of the change, that must be read now."""
        if settings != self._settings:
            self._settings = settings
            self._until.clear()
        self._changed = changed
        self._until = {
            key: (until, change)
            for key, (until, change) in self._until.items()
            if until > now and changed.get(key) == change
        }
        return [key for key in changed if key not in self._until]

    def look_again(self, keys: Collection[str]) -> None:
        """Lets these incidents be read again at once."""
        for key in keys:
            self._until.pop(key, None)

    def wait(self, key: str, until: float, now: float) -> None:
        """Leaves the incident alone until then; with 0, it waits for another incident, and is read again soon."""
        self._until[key] = (until or now + RECHECK_SECONDS, self._changed.get(key, 0.0))
