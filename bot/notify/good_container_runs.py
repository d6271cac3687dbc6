"""Records the settings with which containers run well. A container runs well if it has run for some minutes and is not
unhealthy, or if it is a job that finished with exit code 0.

Each run is inspected once. A crash card compares a later run with it. At most INSPECTED containers of an engine are
inspected in a round, so that a start does not send many requests to a large engine. If an inspection fails, that
container is skipped for an hour, so that others get their turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from bot.notify.crash_evidence import run_settings
from collectors import engine_polling
from core import errors
from core.model.actions import InspectContainer
from core.model.containers import Container
from core.model.owners import owner_of_container
from core.model.past_run_settings import PastRunSettings
from runtimes.inventory.mirror import Mirror

GOOD_SECONDS = 300.0  # a run of this length is good
INSPECTED = 20
TIMEOUT_SECONDS = 30.0  # of a round
INSPECTION_SECONDS = 5.0
PAUSE_SECONDS = 3_600.0  # before a container is inspected again whose inspection failed


class GoodContainerRunsWriter(Protocol):
    """Stores good runs by engine and owner."""

    async def put_good_runs(self, engine: str, runs: Mapping[str, PastRunSettings], /) -> None: ...


class GoodContainerRunsRecorder:
    """Records the good runs of all engines. `now`: our clock, in seconds since the epoch."""

    def __init__(
        self,
        mirrors: Callable[[], Sequence[Mirror]],
        store: GoodContainerRunsWriter,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._mirrors = mirrors
        self._store = store
        self._now = now
        self._recorded: dict[str, dict[str, float]] = {}  # by engine: the start of the recorded run of each container
        self._paused: dict[str, dict[str, float]] = {}  # by engine: until when a container is left out

    async def run(self) -> engine_polling.PollingRound:
        known = [each for each in engine_polling.answering(self._mirrors(), InspectContainer.verb) if each.live]
        for gone in self._recorded.keys() - {each.engine_id for each in known}:
            del self._recorded[gone]
            self._paused.pop(gone, None)
        busy = [each for each in known if next(self._good(each), None) is not None]
        return await engine_polling.ask_each(busy, self._record, seconds=TIMEOUT_SECONDS)

    async def _record(self, mirror: Mirror) -> None:
        recorded = self._recorded.setdefault(mirror.engine_id, {})
        paused = self._paused.setdefault(mirror.engine_id, {})
        for known in (recorded, paused):
            for gone in known.keys() - mirror.containers.keys():
                del known[gone]
        found: dict[str, PastRunSettings] = {}
        done: dict[str, float] = {}
        failed: errors.QuarterdeckError | None = None
        for row in [row for row, _ in zip(self._good(mirror), range(INSPECTED), strict=False)]:
            call = engine_polling.call_within(INSPECTION_SECONDS, "good runs")
            try:
                document = await mirror.run(InspectContainer(engine=mirror.ref, target=row.ref), call)
            except errors.NotFound:  # it was removed meanwhile
                continue
            except errors.QuarterdeckError as error:
                failed = error
                paused[row.ref.id] = self._now() + PAUSE_SECONDS
                if isinstance(error, errors.Unreachable | errors.TimedOut):
                    break  # the others would fail, too
                continue
            found[owner_of_container(row)] = run_settings(row.ref, document, self._now())
            done[row.ref.id] = row.started_at or 0.0
        await self._store.put_good_runs(mirror.engine_id, found)
        recorded |= done
        if failed is not None:
            raise failed

    def _good(self, mirror: Mirror) -> Iterator[Container]:
        """Yields the containers whose run is good and is not recorded yet."""
        recorded, paused = self._recorded.get(mirror.engine_id, {}), self._paused.get(mirror.engine_id, {})
        for key, row in mirror.containers.items():
            if row.started_at is None or recorded.get(key) == row.started_at or paused.get(key, 0.0) > self._now():
                continue
            runs = row.state == "running" and self._now() - row.started_at >= GOOD_SECONDS and row.health != "unhealthy"
            if runs or (row.state == "exited" and row.exit_code == 0):
                yield row
