"""Resolves alerts of engines that no process watches any more, such as an engine that was removed from the
configuration while it was down.

Each process records in the store which engines it watches. An engine counts as removed when no process has watched it
for ten minutes. While any engine of this process does not answer, no engine counts as removed. That engine may be the
only way to find others: a Swarm is found through its managers. A host's name is also not known before its first answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from collectors.restored_alerts import RestoredAlerts
from core import errors, shared_ticks
from core.model.refs import EngineRef
from core.store.outlets import OutletStore
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
CHECK_SECONDS = 30.0
REMOVED_SECONDS = 600.0
RECORD_SECONDS = 30 * 86_400.0


class RemovedEngineCheck:
    """Checks for removed engines while `run` runs. `why_unwatched`: the reason why an engine is not watched now, empty
    if it is watched. `now`: seconds since the epoch.
    """

    def __init__(
        self,
        store: OutletStore,
        alerts: RestoredAlerts,
        mirrors: Callable[[], Sequence[Mirror]],
        why_unwatched: Callable[[Mirror], str],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._mirrors = mirrors
        self._why_unwatched = why_unwatched
        self._now = now
        self._missing_since: dict[EngineRef, float] = {}

    async def run(self) -> None:
        """Looks from time to time until it is cancelled."""
        while True:
            await shared_ticks.sleep_to_tick(CHECK_SECONDS)
            try:
                await self.check_once()
            except errors.StoreError as error:
                log.debug("The list of watched engines could not be stored.", reason=error.message)

    async def check_once(self) -> None:
        """Records which engines are watched, and ends the alerts about removed ones. Raises StoreError."""
        mirrors, now = self._mirrors(), self._now()
        here = {mirror.ref for mirror in mirrors}
        await self._store.note_watched_engines([str(each) for each in here], now, RECORD_SECONDS)
        missing = self._alerts.engines() - here
        if any(map(self._why_unwatched, mirrors)):
            missing = frozenset()
        self._missing_since = {each: self._missing_since.get(each, now) for each in missing}
        due = [each for each, since in self._missing_since.items() if now - since >= REMOVED_SECONDS]
        watched = await self._store.watched_engines(now - REMOVED_SECONDS) if due else frozenset()
        for engine in due:
            if str(engine) not in watched:
                log.info(
                    "The alerts about an engine were resolved, because no process has watched it for some time.",
                    engine=str(engine),
                )
                self._alerts.end_alerts_of(engine)
