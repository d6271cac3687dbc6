"""Reads the states of the systemd units that run containers, and stores them in the engine's mirror."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from collectors import engine_polling
from core import errors
from core.model.units import ListUnits
from runtimes.inventory.mirror import Mirror

TIMEOUT_SECONDS = 20.0


class SystemdUnitReader:
    """Reads the units of all engines that have units."""

    def __init__(self, mirrors: Callable[[], Sequence[Mirror]], *, now: Callable[[], float] = time.time) -> None:
        self._mirrors = mirrors
        self._now = now

    async def run(self) -> engine_polling.PollingRound:
        known = engine_polling.answering(self._mirrors(), ListUnits.verb)
        return await engine_polling.ask_each(known, self._read, seconds=TIMEOUT_SECONDS)

    async def _read(self, mirror: Mirror) -> None:
        call = engine_polling.call_within(TIMEOUT_SECONDS, "units")
        try:
            rows = (await mirror.run(ListUnits(engine=mirror.ref), call)).rows
        except (errors.Unreachable, errors.NotPermitted):
            # No systemd here, the engine is on another machine, or systemd is not ours to ask: then there are no units.
            mirror.resources.units = None
            return
        mirror.resources.units, mirror.resources.units_at = rows, self._now()
