"""Finds the incidents whose messages must now show, or must stop showing, that they are silenced, snoozed or in
maintenance.

All incidents are read when a silence, a snooze or a maintenance window begins or ends, and once when a process begins
to post. If a message is out of date, its incident is marked as changed in the store. So the message is edited like that
of any other change, even if this process dies before that.
"""

from __future__ import annotations

from bot.notify.alert_settings import AlertSettings
from bot.notify.incident_writer import decode_incident
from core import supervise
from core.model.incidents import IncidentState
from core.store.incidents import IncidentStore


class SilencedMessageFinder:
    """Remembers what was in force when the incidents were read last."""

    def __init__(self, store: IncidentStore) -> None:
        self._store = store
        self._in_force: frozenset[str] | None = None

    async def mark(self, settings: AlertSettings, now: float) -> bool:
        """Marks those incidents, if anything has begun or ended; returns whether it has. `now`: seconds since the
        epoch. Raises StoreError."""
        in_force = settings.holds(now)
        if in_force == self._in_force:
            return False
        async for key, raw in supervise.in_turns(self._store.each_incident()):
            incident = decode_incident(raw)
            if incident is None or incident.state is IncidentState.RESOLVED:
                continue
            if any(post.held != settings.hold(incident, now).text for post in incident.posts if not post.gone):
                await self._store.mark_incident(key, raw)
        self._in_force = in_force
        return True

    def forget(self) -> None:
        """Forgets everything, because another process posts now."""
        self._in_force = None
