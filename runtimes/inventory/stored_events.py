"""Reads the history of events from the store, for one engine or for several at once. Also presents an engine that this
process does not watch together with this history (`EngineWithHistory`).

A command lists several engines at the same time; their requests are combined into one request to the store. An error of
the store is not raised: the answer then says that older events may be missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import field, replace
from typing import Any, Protocol, TypeVar, cast

import msgspec

from core import errors, tasks
from core.lazy_dataclass import dataclass
from core.model.actions import Action, DescribeEngine, ReadLogs
from core.model.background_jobs import JobStarted
from core.model.containers import Container
from core.model.event_actions import ListEvents
from core.model.event_coverage import Coverage
from core.model.events import Event, EventList
from core.model.refs import EngineRef
from core.model.results import LogPage
from core.model.verification import VerifyRuns
from core.name_matching import match
from core.ports import Call, Runtime
from core.store.records import EventName, EventsFound, EventsWanted, engine_key
from core.text import text_timestamps
from runtimes.inventory import container_runs_in_log, event_history, event_rows, own_changes, verification_evidence
from runtimes.inventory.event_followers import EventFollowers
from runtimes.inventory.own_changes import WINDOW_SECONDS
from runtimes.inventory.stored_coverage import CoverageStore, gaps_among, read_coverage

R = TypeVar("R")
NOW_NS = 1_000_000_000  # what is asked for from this long ago on is all new
INSPECT_SECONDS = 1.0
NOTE_SECONDS = 3_700.0  # a stop waits an hour at most


class EventStore(CoverageStore, Protocol):
    """What reads the stored history."""

    async def record_own_changes(self, engine: str, containers: Iterable[str], value: bytes, ttl: float, /) -> None: ...


class StoredEvents:
    """Reads the history. There is one for all engines."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._batches: dict[object, _Batch] = {}

    async def read(self, engine_id: str, engine: EngineRef, action: ListEvents) -> tuple[list[Event], list[str]]:
        """Returns the events of one engine that the action asks for, and sentences about what is missing."""
        if not engine_id:
            return [], []
        batch = self._batches.get(action.asks())
        if batch is None:
            batch = self._batches[action.asks()] = _Batch()
            batch.task = tasks.start_awaited("event_history", self._find(action, batch))
        key = engine_key(engine_id)
        batch.engines[key] = engine
        assert batch.task is not None
        try:
            found = await asyncio.shield(batch.task)
        except errors.StoreError as error:
            return [], [f"Events that this process did not see itself may be missing: {error.message}"]
        rows = [event_rows.to_event(row, engine) for row in found.events if row.engine == key]
        return rows, _notes(found, action)

    async def coverage(self, engine_id: str, engine: EngineRef) -> Coverage:
        """Returns which time the history of one engine covers."""
        return await read_coverage(self._store, engine_id, engine)

    async def note_call(self, engine_id: str, action: Action[Any], call: Call) -> None:
        """Notes who is about to end containers, for the process that watches their engine. Without the store, the cause
        of the end does not name the requester."""
        if not engine_id or not (ids := own_changes.ended_containers(action)):
            return
        noted = event_rows.ChangeRecord(
            verb=action.verb, who=call.who, at=time.time(), until=call.deadline.timestamp() + WINDOW_SECONDS
        )
        with contextlib.suppress(errors.StoreError):
            await self._store.record_own_changes(engine_key(engine_id), ids, msgspec.json.encode(noted), NOTE_SECONDS)

    async def _find(self, action: ListEvents, batch: _Batch) -> EventsFound:
        await asyncio.sleep(0)  # the lists of the other engines of this command join
        del self._batches[action.asks()]
        names = tuple(_names(action))
        if names:  # a gap is an event of the engine, and tells that events of the resource may be missing
            names += tuple(EventName(text=str(engine)) for engine in batch.engines.values())
        wanted = EventsWanted(
            engines=frozenset(batch.engines),
            since_us=action.since_ns // 1000,
            until_us=action.until_ns // 1000,
            names=names,
            limit=action.limit,
        )
        return await self._store.find_events(wanted, action.matches)


@dataclass(slots=True, kw_only=True)
class _Batch:
    """The engines by key."""

    engines: dict[str, EngineRef] = field(default_factory=dict)
    task: asyncio.Task[EventsFound] | None = None


async def list_events(
    runtime: StoringEngine,
    stored: StoredEvents | None,
    action: ListEvents,
    remembered: Sequence[Event],
    call: Call | None,
    *,
    complete_ns: int = 0,
) -> EventList:
    """Returns what the store, the engine and this process know, each event once. `remembered`: by this process. `call`:
    None if the engine is not asked. `complete_ns`: since when this process has received every event; 0: not now. The
    error of the engine is only raised if nothing is known without it."""

    async def read() -> tuple[list[Event], list[str]]:
        return ([], []) if stored is None else await stored.read(runtime.engine_id, runtime.ref, action)

    async def ask() -> EventList | errors.EngineError:
        if call is None or action.verb not in runtime.verbs:
            return EventList()
        try:
            return await runtime.run(action, call)
        except errors.EngineError as error:
            return error

    if stored is not None and call is not None and not runtime.engine_id:
        # History is stored under the engine's id, which a process learns at its first contact.
        with contextlib.suppress(errors.QuarterdeckError):
            await runtime.run(DescribeEngine(engine=runtime.ref), call)
    asked, (found, notes) = await asyncio.gather(ask(), read())
    if isinstance(asked, errors.EngineError):
        if not found and not remembered:
            raise asked
        notes.append(f"{runtime.ref} was asked for more events, and did not answer: {asked.message}")
        asked = EventList()
    events = event_history.merge(asked.rows, found, remembered)
    if not action.actions:
        events = event_history.without_found_again(events)
    if not action.coverage:
        return action.select(events, [*asked.notes, *notes])
    covered = await stored.coverage(runtime.engine_id, runtime.ref) if stored is not None else Coverage()
    if complete_ns:
        covered = covered.live_since(complete_ns, time.time_ns(), gaps_among(remembered))
    remembered_ns = asked.coverage.remembered_ns if asked.coverage is not None else 0
    coverage = msgspec.structs.replace(covered, remembered_ns=remembered_ns)
    return action.select(events, [*asked.notes, *notes], coverage=coverage)


def follow(feed: EventFollowers, runtime: Runtime, action: ListEvents, call: Call) -> JobStarted:
    """Starts to follow an engine's events, after those that are asked for from before now. `runtime` lists them."""

    async def read_earlier() -> Sequence[Event]:
        found: EventList = await runtime.run(replace(action, follow=False), call)
        return found.rows

    return feed.start(action, call, read_earlier if action.since_ns < time.time_ns() - NOW_NS else None)


class StoringEngine(Runtime, Protocol):
    """A Runtime whose events are stored under its `engine_id`. `allows`: whether its owner allows a verb. `describe`
    inspects containers, within `deadline` seconds for all of them; None for one that does not exist any more."""

    @property
    def engine_id(self) -> str: ...

    def allows(self, verb: str) -> bool: ...

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]: ...


class EngineWithHistory:
    """Presents an engine that this process does not watch, with the history that a watching process has stored.
    `watch`: watches the engine as long as somebody follows its events."""

    def __init__(
        self,
        engine: StoringEngine,
        stored: StoredEvents,
        *,
        watch: Callable[[], AbstractAsyncContextManager[EventFollowers]] | None = None,
    ) -> None:
        self._engine = engine
        self._stored = stored
        self._feed = EventFollowers(lambda: engine.ref, watch=watch)

    @property
    def ref(self) -> EngineRef:
        return self._engine.ref

    @property
    def engine_id(self) -> str:
        return self._engine.engine_id

    @property
    def address(self) -> str:
        return str(getattr(self._engine, "address", "") or getattr(self._engine, "url", ""))

    @property
    def verbs(self) -> frozenset[str]:
        """The engine's verbs, and `event.list`: the history may have its events even if the engine stores none."""
        return self._engine.verbs | ({ListEvents.verb} if self._engine.allows(ListEvents.verb) else frozenset())

    def verb_refusal(self, verb: str) -> errors.QuarterdeckError | None:
        return None if verb == ListEvents.verb and verb in self.verbs else self._engine.verb_refusal(verb)

    def refusal(self, action: Action[Any]) -> errors.QuarterdeckError | None:
        if isinstance(action, ListEvents) and action.verb in self.verbs:
            return None
        return self._engine.refusal(action)

    async def run(self, action: Action[R], call: Call) -> R:
        if self._feed.owns(action):
            return cast(R, await self._feed.run(action))
        if isinstance(action, ReadLogs) and not action.follow:
            page = cast(LogPage, await self._engine.run(action, call))
            return cast(
                R, await container_runs_in_log.add_runs(self, page, action, call, await self._inspected(action))
            )
        if isinstance(action, VerifyRuns) and action.of_containers:
            witness = verification_evidence.StoredWitness(self._read)
            return cast(R, self._feed.verify(self._engine.describe, action, call, witness))
        if not isinstance(action, ListEvents) or action.verb not in self.verbs:
            await self._stored.note_call(self._engine.engine_id, action, call)
            return await self._engine.run(action, call)
        if action.follow:
            return cast(R, follow(self._feed, self, action, call))
        return cast(R, await list_events(self._engine, self._stored, action, (), call))

    async def _inspected(self, action: ReadLogs) -> Container | None:
        """Returns the container of a log; None if it is not known now."""
        with contextlib.suppress(errors.QuarterdeckError):
            return (await self._engine.describe([action.target.id], INSPECT_SECONDS)).get(action.target.id)
        return None

    async def _read(self, action: ListEvents) -> Sequence[Event]:
        found, _ = await self._stored.read(self.engine_id, self.ref, action)
        return found

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        return self._engine.events(since_ns)

    async def aclose(self) -> None:
        await self._feed.aclose()
        await self._engine.aclose()


def _names(action: ListEvents) -> Iterable[EventName]:
    """What to look up for the typed names: the containers that they select, by name and id; else the text itself. The
    command compares the names again, so this may find too much."""
    for typed, existing in action.names:
        for ref in existing:
            yield EventName(text=ref.name)
            yield EventName(text=f"#{ref.id[:12]}")
        name = match.parse(typed)
        if name.is_glob:
            start = min(name.name.find(sign) for sign in match.GLOB_CHARACTERS if sign in name.name)
            yield EventName(text=name.name[:start], is_prefix=True)
        elif name.name:
            yield EventName(text=name.name, or_prefix=not existing)
            if len(name.name) >= match.MIN_ID_LENGTH and not existing:
                yield EventName(text=f"#{name.name.removeprefix('sha256:')[:12]}", is_prefix=True)
        elif name.id_prefix:
            yield EventName(text=f"#{name.id_prefix[:12]}", is_prefix=True)
        elif not existing:
            yield EventName(text="", is_prefix=True)


def _notes(found: EventsFound, action: ListEvents) -> list[str]:
    since_us = action.since_ns // 1000
    notes = []
    if found.cut_until_us > since_us:
        notes.append(
            f"Events before {_time(found.cut_until_us)} are incomplete: the history is full (`history` in"
            " quarterdeck.yaml)."
        )
    if found.lost_until_us > since_us:
        notes.append(
            f"{found.lost:,} events until {_time(found.lost_until_us)} could not be stored, and may be missing here."
        )
    if not found.complete:
        notes.append("Too many resources match to search all of their events. Give a longer name.")
    return notes


def _time(at_us: int) -> str:
    return text_timestamps.format_timestamp(at_us / 1e6)
