"""Watches one Swarm and yields its events: polls its tasks, services and nodes, and follows a manager's events.

A Swarm sends no events about tasks. So it is polled every two seconds, or less often if a poll takes long. A manager's
own stream reports objects that are created, changed and removed. Both are merged into one stream. The stream ends when
no manager has answered for 25 s, since the election of a new leader takes less time, or when no manager has sent events
for 3 s. The last snapshot stays stored after a stream ends. So the next stream also reports the changes since that
snapshot, and services and nodes that were created or removed meanwhile. If a poll returns the same bytes as the
last one, it is not decoded.

Only the newest events are stored. Of older events, only failed tasks and ended updates can be listed, because the Swarm
itself still shows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec
import structlog

from core import errors, tasks
from core.model.event_actions import ListEvents
from core.model.event_coverage import Coverage
from core.model.events import Event, EventList, Origin
from core.model.refs import EngineRef
from core.model.swarm_status import SwarmState
from runtimes.formats import json_decoder, skipped_data, timestamps
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.swarm import decode, json_models, snapshot_diff, state
from runtimes.swarm.manager_pool import ANY_VERB, ManagerPool

log = structlog.get_logger(__name__)
POLL_SECONDS = 2.0
MIN_POLL_SECONDS = 0.5  # between polls, when a manager's events ask for one
# A large Swarm takes long to list its tasks: polling takes at most a twentieth of the time, up to this pause.
POLL_SHARE, MAX_POLL_SECONDS = 20, 15.0
POLL_TIMEOUT_SECONDS = 8.0
MAX_SILENCE_SECONDS = 25.0  # without a poll, until the stream ends; the election of a leader takes about ten
RECONNECT_SECONDS = 1.0
MAX_UNFOLLOWED_SECONDS = 3.0  # without the events of any manager, until the stream ends: they may be lost
REPLAY_SECONDS = 0.3  # from the opening of a manager's stream until it has sent the events that it stores
MAX_HISTORY = 2048
OLDEST_NS = 1_000_000_000  # before any event
MAX_RECENT = 512
SCOPE = urllib.parse.quote('{"scope":["swarm"]}')


class SwarmWatcher:
    """Watches one Swarm and yields its events."""

    def __init__(self, managers: ManagerPool, engine: EngineRef, skipped: SkippedDataCounter) -> None:
        self._managers, self._engine, self._skipped = managers, engine, skipped
        self._bodies: tuple[bytes, ...] = ()
        self._snapshot = self._compared = self._last = snapshot_diff.Snapshot()
        self._described: tuple[snapshot_diff.Snapshot, SwarmState] | None = None
        self._polled_at = 0.0
        self._state: snapshot_diff.State | None = None
        self._history: deque[Event] = deque(maxlen=MAX_HISTORY)
        self._received: deque[Event] = deque(maxlen=MAX_HISTORY)  # from a manager's stream, not yet returned
        self._unsent: list[Event] = []  # found, and not yet yielded
        self._compared_with: snapshot_diff.Snapshot | None = None  # until a stream is open
        self._resynced: set[tuple[str, str, str]] = set()  # what only snapshots showed: type, action and id
        self._recent: deque[tuple[object, ...]] = deque(maxlen=MAX_RECENT)
        self._poll_now = asyncio.Event()
        self._newest_ns = self._began_ns = 0
        self._following = asyncio.Event()  # a manager's stream is open
        self._unfollowed_since = 0.0

    async def poll(self, seconds: float) -> snapshot_diff.Snapshot:
        """Requests the current services, tasks and nodes."""
        answers = await asyncio.gather(
            *(self._managers.ask(ANY_VERB, "GET", path, seconds) for path in ("/services", "/tasks", "/nodes"))
        )
        bodies = tuple(answer.body for answer in answers)
        if bodies != self._bodies:
            services = await json_decoder.decode_all_rows(json_models.Service, bodies[0], self._skipped)
            tasks = await json_decoder.decode_all_rows(json_models.Task, bodies[1], self._skipped)
            nodes = await json_decoder.decode_all_rows(json_models.Node, bodies[2], self._skipped)
            self._snapshot = snapshot_diff.Snapshot(services=services, tasks=tasks, nodes=nodes)
            self._bodies = bodies
        self._polled_at = time.time()
        return self._snapshot

    def described(self) -> SwarmState | None:
        """Returns the state at the last successful poll; None before the first."""
        if not self._polled_at:
            return None
        if self._described is None or self._described[0] is not self._snapshot:
            self._described = self._snapshot, state.build_state(self._engine, self._snapshot, self._polled_at)
        return msgspec.structs.replace(self._described[1], read_at=self._polled_at)

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        """Yields the events from `since_ns` on. The first item is empty: the stream is open. Raises EngineError."""
        if self._compared_with is None and self._state is not None:
            self._compared_with = self._last
        # What is found stays until it is yielded, although this stream or its opening may fail before.
        self._keep(await self._compare(since_ns))
        self._unfollowed_since = _now()
        follower = tasks.start(f"swarm_events {self._engine}", self._keep_following(since_ns))
        try:
            await self._wait_until_followed()
            if self._compared_with is not None:
                await asyncio.sleep(REPLAY_SECONDS)
                self._unsent = self._missed(self._compared_with, self._unsent)
                self._compared_with = None
            yield ()
            polled, pause = _now(), POLL_SECONDS
            failure: errors.EngineError | None = None
            while self._managers.all:
                if self._unsent:
                    found, self._unsent = self._unsent, []
                    self._history.extend(found)
                    yield found
                if failure is not None:
                    raise failure
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._poll_now.wait()
                self._poll_now.clear()
                self._keep(self._take_received())
                began = _now()
                if not self._following.is_set() and began - self._unfollowed_since > MAX_UNFOLLOWED_SECONDS:
                    failure = self._unfollowed()
                    continue
                if began - polled < pause * MIN_POLL_SECONDS / POLL_SECONDS:
                    continue
                try:
                    self._keep(await self._compare(None))
                    polled = _now()
                    pause = min(MAX_POLL_SECONDS, max(POLL_SECONDS, POLL_SHARE * (polled - began)))
                except errors.EngineError as error:
                    failure = error if _now() - polled > MAX_SILENCE_SECONDS else None
        finally:
            follower.cancel()
            await asyncio.wait([follower])

    async def list_events(self, action: ListEvents, seconds: float) -> EventList:
        """Lists past events from the history, from the current snapshot and from a manager's own last 256 events."""
        until, since_ns = time.time_ns(), action.since_ns
        oldest = OLDEST_NS if action.coverage else since_ns  # all that it remembers are 256 at most
        window = f"since={timestamps.format_since(oldest)}&until={timestamps.format_since(until)}"
        snapshot, answer = await asyncio.gather(
            self.poll(seconds), self._managers.ask(ANY_VERB, "GET", f"/events?{window}&filters={SCOPE}", seconds)
        )
        remembered = decode.decode_events(self._engine, answer.body, self._skipped, replay_before=until)
        replayed = snapshot_diff.replays(self._engine, snapshot, since_ns)
        found = {event.identity(): event for event in (*remembered, *replayed, *self._history)}
        times = [event.at_ns for event in remembered]
        coverage = Coverage(remembered_ns=min(times, default=0)) if action.coverage else None
        return action.select(found.values(), coverage=coverage)

    def _keep(self, found: Sequence[Event]) -> None:
        self._unsent += found
        if (excess := len(self._unsent) - MAX_HISTORY) > 0:
            del self._unsent[:excess]
            self._skipped.add(skipped_data.EVENT, "too many events were found before a manager opened its stream")

    async def _wait_until_followed(self) -> None:
        try:
            async with asyncio.timeout(POLL_TIMEOUT_SECONDS):
                await self._following.wait()
        except TimeoutError:
            raise self._unfollowed() from None

    def _unfollowed(self) -> errors.TimedOut:
        return errors.TimedOut(
            f"No manager of {self._engine} opened its event stream in time.",
            sent=False,
            hint="Check with `engines` whether the managers are reachable, and check the load of their hosts.",
        )

    def _missed(self, before: snapshot_diff.Snapshot, found: Sequence[Event]) -> list[Event]:
        """Returns what happened since the snapshot `before` while no stream was open: `found` by comparing snapshots,
        the events that a manager still had, and what none of them shows."""
        replayed = self._take_received()
        resynced = [msgspec.structs.replace(event, origin=Origin.RESYNC) for event in found]
        objects = snapshot_diff.created_and_removed(self._engine, before, self._last, time.time_ns())
        reported = set(map(_change, replayed))
        objects = [event for event in objects if _change(event) not in reported]
        self._resynced = set(map(_change, objects))
        resynced += objects
        return sorted([*replayed, *resynced], key=lambda event: event.at_ns)

    async def _compare(self, since_ns: int | None) -> list[Event]:
        snapshot = self._last = await self.poll(POLL_TIMEOUT_SECONDS)
        if self._state is None:
            self._state = snapshot_diff.baseline(snapshot)
            return snapshot_diff.replays(self._engine, snapshot, since_ns) if since_ns else []
        if snapshot is self._compared and self._state.settled:
            return []
        self._state, found = snapshot_diff.step(self._engine, self._state, snapshot, _now())
        self._compared = snapshot
        return found

    # ── a manager's own stream ───────────────────────────────────────────────────────────────────────────────────

    async def _keep_following(self, since_ns: int | None) -> None:
        """Follows whichever manager answers, and the next one when its stream ends. Never returns."""
        self._newest_ns = max(self._newest_ns, since_ns or 0)
        self._began_ns = self._began_ns or time.time_ns()
        while True:
            try:
                await self._follow()
            except errors.QuarterdeckError as error:
                log.debug("No manager of the Swarm sent its events.", engine=str(self._engine), reason=error.message)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _follow(self) -> None:
        # A manager answers a moment before it subscribes this stream. So past events are asked for in any case.
        since = timestamps.format_since(self._newest_ns or self._began_ns)
        target = f"/events?filters={SCOPE}&since={since}"
        stream = await self._managers.stream(ANY_VERB, target, POLL_TIMEOUT_SECONDS)
        opened = time.time_ns()
        try:
            if stream.status != 200:
                raise errors.Rejected(stream.status, (await stream.read_all(4096)).decode("utf-8", "replace"))
            self._following.set()
            async for lines in stream.lines(self._skipped.add_long_line):
                self._receive(decode.decode_events(self._engine, lines, self._skipped, replay_before=opened))
        finally:
            self._following.clear()
            self._unfollowed_since = _now()
            await stream.aclose()

    def _receive(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.origin is Origin.REPLAY and _change(event) in self._resynced:
                continue  # a manager sent it later than expected
            # All managers report the same time for one event, except for a removal: a removed object has no time.
            fact = (event.type, event.action, event.subject.id, 0 if event.action == "remove" else event.at_ns)
            if fact not in self._recent:
                self._recent.append(fact)
                if len(self._received) == MAX_HISTORY:
                    self._skipped.add(skipped_data.EVENT, "too many events arrived between two polls")
                self._received.append(event)
            # A time in the future would leave out everything before it after the next connection.
            self._newest_ns = max(self._newest_ns, min(event.at_ns, time.time_ns()))
        if self._received:
            self._poll_now.set()

    def _take_received(self) -> list[Event]:
        taken = list(self._received)
        self._received.clear()
        return taken


def _change(event: Event) -> tuple[str, str, str]:
    """Returns what happened to which object, without the time, which a snapshot may not show."""
    return event.type, event.action, event.subject.id


def _now() -> float:
    """Returns the seconds of the event loop's clock, which `asyncio.timeout` uses too."""
    return asyncio.get_running_loop().time()
