"""One Swarm kept in view: its tasks, services and nodes are looked at every two seconds, seldomer where that takes
long, and compared; beside them a manager's own stream tells of what is made, changed and removed.

Events come out of both in one stream that ends when no door answers for a while, or when the Swarm is nobody's here any
more. What was seen last outlives a stream, so that nothing is missed in between. A look whose bytes are those of the
last costs no decoding. A leader that dies takes the Swarm's word away for some seconds, which is no end. The history
is bounded; of the time before it a picture still tells the tasks that failed and the updates that ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from core import errors
from core.model.events import Event
from core.model.refs import EngineRef
from runtimes.formats import timestamps
from runtimes.swarm import decode, diff, models
from runtimes.swarm.managers import ALWAYS, Doors

log = structlog.get_logger(__name__)
LOOK_EVERY = 2.0  # seconds; sooner when a manager tells that something changed, but not sooner than
SOONEST = 0.5
# A large Swarm takes its time to tell of its tasks: we look no more than a twentieth of the time, if not too seldom.
SHARE, SELDOM = 20, 15.0
LOOK_WITHIN = 8.0
SILENT_FOR = 25.0  # seconds without a look after which the stream ends: a Swarm that chooses a leader takes about ten
LISTEN_AGAIN = 1.0
HISTORY = 2048
RECENT = 512
SCOPE = urllib.parse.quote('{"scope":["swarm"]}')


class SwarmWatcher:
    """Of one Swarm; another one is begun anew. `there`: whether it still is our engine's Swarm."""

    def __init__(self, doors: Doors, engine: Callable[[], EngineRef], there: Callable[[], bool]) -> None:
        self._doors, self._engine, self._there = doors, engine, there
        self._bodies: tuple[bytes, ...] = ()
        self._picture = self._compared = diff.Picture()
        self._known: diff.Known | None = None
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._told: deque[Event] = deque(maxlen=HISTORY)  # by the managers' stream, not handed on yet
        self._recent: deque[tuple[object, ...]] = deque(maxlen=RECENT)
        self._news = asyncio.Event()
        self._heard_ns = 0

    async def look(self, seconds: float) -> diff.Picture:
        """The Swarm as it is now."""
        answers = await asyncio.gather(
            *(self._doors.ask(ALWAYS, "GET", path, seconds) for path in ("/services", "/tasks", "/nodes"))
        )
        bodies = tuple(answer.body for answer in answers)
        if bodies != self._bodies:
            services = models.decode(models.SERVICES, bodies[0])
            tasks = models.decode(models.TASKS, bodies[1])
            nodes = models.decode(models.NODES, bodies[2])
            self._picture = diff.Picture(services=services, tasks=tasks, nodes=nodes)
            self._bodies = bodies
        return self._picture

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        found = await self._compare(since_ns)
        listening = asyncio.get_running_loop().create_task(self._listen(since_ns), name=f"listen {self._engine()}")
        try:
            yield ()
            looked, pause = _now(), LOOK_EVERY
            while self._there():
                if found:
                    self._history.extend(found)
                    yield found
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._news.wait()
                self._news.clear()
                found = self._take_told()
                began = _now()
                if began - looked < pause * SOONEST / LOOK_EVERY:
                    continue
                try:
                    found = [*found, *await self._compare(None)]
                    looked = _now()
                    pause = min(SELDOM, max(LOOK_EVERY, SHARE * (looked - began)))
                except errors.EngineError:
                    if _now() - looked > SILENT_FOR or not self._there():
                        raise
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def list_events(self, since_ns: int, limit: int, seconds: float) -> tuple[Event, ...]:
        """From the history, from what the Swarm itself still shows, and from a manager's ring of 256."""
        engine = self._engine()
        until = time.time_ns()
        window = f"since={timestamps.since(since_ns)}&until={timestamps.since(until)}"
        picture, answer = await asyncio.gather(
            self.look(seconds), self._doors.ask(ALWAYS, "GET", f"/events?{window}&filters={SCOPE}", seconds)
        )
        known = {
            event.identity(): event
            for event in (
                *decode.events(engine, answer.body, replay_before=until),
                *diff.replays(engine, picture, since_ns),
                *self._history,
            )
            if event.at_ns >= since_ns
        }
        return tuple(sorted(known.values(), key=lambda event: event.at_ns)[-limit:])

    async def _compare(self, since_ns: int | None) -> list[Event]:
        picture = await self.look(LOOK_WITHIN)
        if self._known is None:
            self._known = diff.baseline(picture)
            return diff.replays(self._engine(), picture, since_ns) if since_ns else []
        if picture is self._compared and self._known.calm:
            return []
        self._known, found = diff.step(self._engine(), self._known, picture, _now())
        self._compared = picture
        return found

    # ── what a manager tells by itself ───────────────────────────────────────────────────────────────────────────

    async def _listen(self, since_ns: int | None) -> None:
        """For as long as it is wanted: whichever manager answers, and the next one when it ends."""
        self._heard_ns = max(self._heard_ns, since_ns or 0)
        while True:
            try:
                await self._follow()
            except errors.QuarterdeckError as error:
                log.debug("no manager tells of its Swarm", engine=str(self._engine()), reason=error.message)
            await asyncio.sleep(LISTEN_AGAIN)

    async def _follow(self) -> None:
        since = f"&since={timestamps.since(self._heard_ns)}" if self._heard_ns else ""
        stream = await self._doors.stream(ALWAYS, f"/events?filters={SCOPE}{since}", LOOK_WITHIN)
        opened = time.time_ns()
        try:
            if stream.status != 200:
                raise errors.Rejected(stream.status, (await stream.read_all(4096)).decode("utf-8", "replace"))
            async for lines in stream.lines():
                self._hear(decode.events(self._engine(), lines, replay_before=opened))
        finally:
            await stream.aclose()

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            # Managers give one fact one time, but for what was removed, which has none any more.
            fact = (event.type, event.action, event.subject.id, 0 if event.action == "remove" else event.at_ns)
            if fact not in self._recent:
                self._recent.append(fact)
                self._told.append(event)
            self._heard_ns = max(self._heard_ns, event.at_ns)
        if self._told:
            self._news.set()

    def _take_told(self) -> list[Event]:
        taken = list(self._told)
        self._told.clear()
        return taken


def _now() -> float:
    """Seconds, of the loop: what waits here waits on its time."""
    return asyncio.get_running_loop().time()
