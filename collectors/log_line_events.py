"""Follows the logs of the containers that log rules select, and reports matching lines as events for the alert rules.

Without such a rule, no log is followed. A log is followed like `logs -f`: if it is too busy, lines are skipped, so that
events are not late. At most MAX_FOLLOWED logs of an engine are followed; Quarterdeck's own log names the others. An
event contains the number of matching lines, but no line. Events of one container and rule are at least EVENT_SECONDS
apart, and the lines between them are counted in the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from collectors import quarterdeck_labels
from core import errors, tasks
from core.model.actions import ReadLogs
from core.model.background_jobs import JobPage, JobStarted, ReadJob, StopJob
from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from core.model.log_patterns import LogPattern
from core.ports import Call
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
SCAN_SECONDS = 5.0
MAX_FOLLOWED = 5  # logs of one engine: it follows ten, and people need some of them
READ_SECONDS = 5.0  # how long one read waits for lines
PAUSE_SECONDS = 1.0  # between two reads
EVENT_SECONDS = 10.0
RETRY_SECONDS = 30.0  # until a log that could not be followed is tried again
WHO = "alerts"

_Key = tuple[str, str]  # the engine's id and the container's


class LogLineEvents:
    """Follows logs while `run` runs. `observe` receives events, with the containers of their engine. `is_own`: whether
    a container is Quarterdeck's own."""

    def __init__(
        self,
        patterns: Sequence[LogPattern],
        mirrors: Callable[[], Sequence[Mirror]],
        observe: Callable[[Sequence[Event], Mapping[str, Container]], None],
        *,
        is_own: Callable[[str], bool] = lambda container_id: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._patterns = tuple(patterns)
        self._mirrors = mirrors
        self._observe = observe
        self._is_own = is_own
        self._now = now
        self._followed: dict[_Key, asyncio.Task[None]] = {}
        self._retry_at: dict[_Key, float] = {}
        self._left_out: dict[str, int] = {}

    async def run(self) -> None:
        """Follows until it is cancelled."""
        try:
            while True:
                self.scan()
                await asyncio.sleep(SCAN_SECONDS)
        finally:
            for task in self._followed.values():
                task.cancel()
            await asyncio.gather(*self._followed.values(), return_exceptions=True)

    @property
    def followed(self) -> int:
        return len(self._followed)

    def scan(self) -> None:
        """Starts and stops following, as containers come and go."""
        wanted: dict[_Key, tuple[Mirror, Container, tuple[LogPattern, ...]]] = {}
        for mirror in self._mirrors():
            if not mirror.live or ReadLogs.verb not in mirror.verbs:
                continue
            found = [(row, patterns) for row in mirror.containers.values() if (patterns := self._patterns_for(row))]
            self._tell_left_out(mirror, len(found) - MAX_FOLLOWED)
            # Those that are followed already come first, so that a new container does not end another one's following.
            found.sort(key=lambda each: ((mirror.engine_id, each[0].ref.id) not in self._followed, each[0].ref.name))
            for row, patterns in found[:MAX_FOLLOWED]:
                wanted[mirror.engine_id, row.ref.id] = (mirror, row, patterns)
        for key in self._followed.keys() - wanted.keys():
            self._followed.pop(key).cancel()
        self._retry_at = {key: at for key, at in self._retry_at.items() if at > self._now()}
        for key, (mirror, row, patterns) in wanted.items():
            if key not in self._followed and key not in self._retry_at:
                work = self._follow(mirror, row, patterns)
                task = tasks.start(f"log_rule {row.ref.name}", work)
                self._followed[key] = task
                task.add_done_callback(lambda done, key=key: self._ended(key, done))  # type: ignore[misc]

    def _patterns_for(self, row: Container) -> tuple[LogPattern, ...]:
        if row.state != "running" or self._is_own(row.ref.id):
            return ()
        if quarterdeck_labels.are_alerts_off(row.labels) or quarterdeck_labels.logs_are_off(row.labels):
            return ()
        facts = row.facts(datetime.fromtimestamp(self._now(), UTC))
        return tuple(pattern for pattern in self._patterns if pattern.on.matches(row.ref, facts) is True)

    def _ended(self, key: _Key, task: asyncio.Task[None]) -> None:
        if self._followed.get(key) is task:
            del self._followed[key]
            self._retry_at[key] = self._now() + RETRY_SECONDS

    async def _follow(self, mirror: Mirror, row: Container, patterns: Sequence[LogPattern]) -> None:
        since = int(self._now() * 1e9)
        action = ReadLogs(engine=mirror.ref, target=row.ref, tail=1, since_ns=since, follow=True)
        job = ""
        try:
            started = await mirror.run(action, _call(READ_SECONDS))
            if not isinstance(started, JobStarted):
                return
            job = started.job
            await self._read(mirror, row, patterns, job)
        except errors.QuarterdeckError as error:
            log.debug(
                "The following of a container's log ended with an error.",
                engine=str(mirror.ref),
                container=row.ref.name,
                reason=error.message,
            )
        finally:
            if job:
                await _stopped(mirror, job)

    async def _read(self, mirror: Mirror, row: Container, patterns: Sequence[LogPattern], job: str) -> None:
        cursor, counts, reported_at = "", Counter[str](), dict[str, float]()
        while True:
            read = ReadJob(engine=mirror.ref, job=job, cursor=cursor, wait=READ_SECONDS)
            page: JobPage = await mirror.run(read, _call(read.timeout_seconds()))
            cursor = page.cursor
            for pattern in patterns:
                counts[pattern.action] += sum(pattern.matches(line.text) for line in page.lines)
            for action in [action for action, number in counts.items() if number]:
                if page.outcome is not None or self._now() - reported_at.get(action, 0.0) >= EVENT_SECONDS:
                    reported_at[action] = self._now()
                    attrs = {"lines": str(counts.pop(action))}
                    at = int(self._now() * 1e9)
                    event = Event(at, EventKind.OTHER, row.ref, Origin.LIVE, "log", action, attrs)
                    self._observe([event], mirror.containers)
            if page.outcome is not None:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    def _tell_left_out(self, mirror: Mirror, number: int) -> None:
        number = max(0, number)
        if number != self._left_out.get(mirror.engine_id, 0):
            self._left_out[mirror.engine_id] = number
            if number:
                log.warning(
                    "Some logs are not followed, because too many logs match the log rules.",
                    engine=str(mirror.ref),
                    followed=MAX_FOLLOWED,
                    left_out=number,
                    hint="Select fewer containers with `on` of the rules under `rules.logs` in quarterdeck.yaml.",
                )


async def _stopped(mirror: Mirror, job: str) -> None:
    try:
        await mirror.run(StopJob(engine=mirror.ref, job=job, who=WHO), _call(3.0))
    except errors.QuarterdeckError as error:
        log.debug("A followed log could not be closed.", engine=str(mirror.ref), job=job, reason=error.message)


def _call(seconds: float) -> Call:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return Call(id="log rules", who=WHO, deadline=deadline, invocation="")
