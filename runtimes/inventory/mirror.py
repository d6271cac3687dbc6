"""Presents one engine and the cache of its containers as one Runtime: answers from memory if possible, and passes
everything else to the engine.

The watcher feeds the cache with lists, events and inspections. While the event stream is open and the last list is
complete, lists of containers come from the cache. Past events, past readings of the resource usage and a recent
measurement of the disk use come from memory too. If an engine is known not to answer, it is not asked for a list: the
last known rows are returned at once, with their age and the reason.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar, cast

import msgspec

from core import errors
from core.model.actions import Action, DescribeEngine, InspectContainer, ListContainers, ReadLogs
from core.model.background_jobs import JobStarted
from core.model.containers import LIVE_STATES, Container, Containers
from core.model.disk_use import DataRoot, ReadDiskUse
from core.model.end_causes import Cause
from core.model.engines import Engine
from core.model.event_actions import ListEvents
from core.model.events import Event, EventList
from core.model.refs import EngineRef
from core.model.resource_usage import ReadUsage
from core.model.results import Document, LogPage
from core.model.swarm_status import SwarmState
from core.model.verification import VerifyRuns
from core.ports import Call, Runtime
from core.text import text_timestamps
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.inventory import (
    container_end_records,
    container_runs_in_log,
    engine_readings,
    event_followers,
    event_history,
    failed_pull_events,
    gather_answers,
    own_changes,
    state_updates,
    stored_events,
    usage_history,
    verification_evidence,
)
from runtimes.inventory.container_cache import ContainerCache

R = TypeVar("R")


class Mirror(ContainerCache):
    """Presents one engine and its cache as one Runtime. `stored`: the history of events in the store."""

    def __init__(
        self,
        runtime: WatchedEngine,
        *,
        now: Callable[[], float] = time.time,
        stored: stored_events.StoredEvents | None = None,
    ) -> None:
        super().__init__(now=now)
        self._stored = stored
        self._runtime = runtime
        self.usage = usage_history.UsageHistory(now)
        self.resources = engine_readings.EngineReadings(now)
        self._described: Engine | None = None
        self.own_changes = own_changes.OwnChanges(now)
        self.pulls = failed_pull_events.FailedPullEvents()
        self.ends = container_end_records.EndRecords()
        self.feed = event_followers.EventFollowers(lambda: self.ref)
        self.runs = verification_evidence.RunEventWaiters()

    @property
    def ref(self) -> EngineRef:
        return self._runtime.ref

    @property
    def engine_id(self) -> str:
        return self._runtime.engine_id

    @property
    def data_root(self) -> DataRoot | None:
        return self._runtime.data_root

    @property
    def swarm_state(self) -> SwarmState | None:
        return self._runtime.swarm_state()

    @property
    def verbs(self) -> frozenset[str]:
        """The engine's verbs, and `event.list`: the mirror stores events even if the engine does not."""
        return self._runtime.verbs | ({ListEvents.verb} if self._runtime.allows(ListEvents.verb) else frozenset())

    def verb_refusal(self, verb: str) -> errors.QuarterdeckError | None:
        return None if verb == ListEvents.verb and verb in self.verbs else self._runtime.verb_refusal(verb)

    def refusal(self, action: Action[Any]) -> errors.QuarterdeckError | None:
        if isinstance(action, ListEvents) and action.verb in self.verbs:
            return None
        return self._runtime.refusal(action)

    async def run(self, action: Action[R], call: Call) -> R:
        if self.silence is not None and action.listing and not getattr(action, "fresh", False):
            self.wanted.set()
            if not isinstance(action, ListEvents):
                return self.last_known(action, self.silence)
        if isinstance(action, ListContainers) and action.verb in self.verbs:
            if self.live and not action.fresh:
                return cast(R, self.listing())
            listed = cast(Containers, await self._runtime.run(action, call))
            return cast(R, state_updates.add_known_details(listed, self._containers))
        if isinstance(action, ListEvents) and action.verb in self.verbs:
            return cast(R, await self._list_events(action, call))
        if self.feed.owns(action):
            return cast(R, await self.feed.run(action))
        if isinstance(action, VerifyRuns) and action.of_containers:
            witness = verification_evidence.MirrorWitness(self)
            return cast(R, self.feed.verify(self._runtime.describe, action, call, witness))
        if isinstance(action, ReadUsage) and action.since and action.verb in self.verbs:
            return cast(R, self.usage.answer(action))
        if isinstance(action, ReadDiskUse) and action.verb in self.verbs:
            measured = self.resources.measure_disk_use(
                self.ref, lambda: self._runtime.run(action, call), call.deadline, action.max_age
            )
            return cast(R, await measured)
        if isinstance(action, InspectContainer):
            document = cast(Document, await self._runtime.run(action, call))
            return cast(R, self._with_last_end(document, action.target.id))
        if isinstance(action, ReadLogs) and not action.follow:
            page = cast(LogPage, await self._runtime.run(action, call))
            return cast(
                R, await container_runs_in_log.add_runs(self, page, action, call, self.last_known_row(action.target.id))
            )
        if isinstance(action, DescribeEngine):
            described = cast(Engine, await self._runtime.run(action, call))
            self._described = described if not described.fault else self._described
            return cast(R, self._with_stream(described))
        value = await self._runtime.run(self.own_changes.noted(action, call, self._has_ended), call)
        self.pulls.observe(action, call, value)
        return value

    def _has_ended(self, container_id: str) -> bool:
        known = self.containers.get(container_id)
        return self.live and known is not None and known.state not in LIVE_STATES

    def last_known(self, action: Action[R], reason: errors.EngineError) -> R:
        """Returns what is known without asking the engine. Raises `reason` if nothing is known."""
        if action.verb in self.verbs:
            if isinstance(action, ListContainers) and self._ever_listed and not action.fresh:
                missing = f"{reason.full_message()} These rows are what it reported last."
                return cast(R, msgspec.structs.replace(self.listing(), missing=missing))
            if isinstance(action, ListEvents):
                return cast(R, action.select(self.history.since(action.since_ns)))
            if isinstance(action, ReadUsage) and action.since:
                return cast(R, self.usage.answer(action))
            if isinstance(action, DescribeEngine):
                engine = self._described or gather_answers.unanswered(self._runtime, reason)
                engine = msgspec.structs.replace(engine, ref=self.ref, fault=reason.full_message())
                return cast(R, self._with_stream(engine))
        raise reason

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        return self._runtime.events(since_ns)

    async def aclose(self) -> None:
        await self.feed.aclose()
        await self._runtime.aclose()

    def add_to_history(self, events: Sequence[Event]) -> None:
        super().add_to_history(events)
        self.feed.publish(events)
        self.runs.publish(events)

    def add_cause(self, died: Event, cause: Cause) -> None:
        """Adds the cause of an end to the history, and passes it on to those who follow the events."""
        self.history.set_cause(died, cause)
        if self.feed.followed:
            self.feed.publish([event_history.explained(died, cause)])

    def replace(self, rows: Iterable[Container], at_ns: int) -> None:
        super().replace(rows, at_ns)
        self.ends.keep({**self._containers, **self._uninspected})

    def _with_last_end(self, document: Document, container_id: str) -> Document:
        """Adds when and why the container ended last, which no engine reports."""
        died = self.history.last_end(container_id)
        if died is None or not document.summary:
            return document
        unknown = "the cause is not known yet" if "cause_pending" in died.attrs else "the cause is not known"
        cause = died.attrs.get("cause_text", unknown)
        by = f" ({died.attrs['cause_by']})" if "cause_by" in died.attrs else ""
        texts = list(document.summary.items())
        texts.insert(2, ("Last end", f"{text_timestamps.format_timestamp(died.at_ns / 1e9)}: {cause}{by}"))
        return msgspec.structs.replace(document, summary=dict(texts))

    def _with_stream(self, engine: Engine) -> Engine:
        return msgspec.structs.replace(
            engine,
            verbs=tuple(sorted(self.verbs)),
            stream="up" if self._stream_up else "down",
            stream_since=self._stream_since,
            stream_fault="" if self._stream_up else self._stream_fault,
        )

    async def _list_events(self, action: ListEvents, call: Call) -> EventList | JobStarted:
        if action.follow:
            return stored_events.follow(self.feed, self, action, call)
        events = self.history.since(action.since_ns)
        complete = self.live and not action.probes and self.history.is_complete_since(action.since_ns)
        # The engine's own store is short too (Docker's holds 256 events of all types): together they have the most.
        asks = not complete and self.silence is None
        complete_ns = (self.history.complete_since or 0) if self.live else 0
        asked = call if asks else None
        return await stored_events.list_events(
            self._runtime, self._stored, action, events, asked, complete_ns=complete_ns
        )


class WatchedEngine(Runtime, Protocol):
    """A Runtime that a mirror can cache. `engine_id` is stable; it is empty before the first contact. `data_root`:
    where the engine stores its data, if known. `swarm_state`: None if it is no Swarm. `skipped` counts what cannot be
    decoded. `allows`: whether the owner of its host allows a verb, even one that the engine does not support.
    `replays_events`: whether its stream first sends all stored events since the given time, in order. `describe`
    inspects containers, a few at once, within `deadline` seconds for all of them; None for a container that does not
    exist any more."""

    skipped: SkippedDataCounter
    replays_events: bool

    @property
    def engine_id(self) -> str: ...

    @property
    def data_root(self) -> DataRoot | None: ...

    def swarm_state(self) -> SwarmState | None: ...

    def allows(self, verb: str) -> bool: ...

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]: ...
