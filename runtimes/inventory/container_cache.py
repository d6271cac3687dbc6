"""Caches the containers and the events of one engine, as an informer does.

It receives lists (`replace`), events (`apply_events`), inspections (`apply_inspections`) and the loss of the stream
(`stream_lost`). It sends nothing to the engine.

All times are the engine's own. An event older than the stored state changes nothing, but marks its container dirty, so
that it is inspected again. The same applies to an inspection that began before the last list was requested. So every
order of events, lists and inspections leads to the same state. A container that is known only from events has no labels
yet, and permissions depend on labels: until it is inspected, the cache answers no lists, and the engine is asked
instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from core import errors
from core.model.containers import Container, Containers
from core.model.events import Event, EventKind, Origin
from core.model.refs import Kind
from core.oldest_entries import limit_entries
from runtimes.formats import status_text
from runtimes.inventory import event_history, state_updates

# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_CREATED, _REMOVED = EventKind.CREATED, EventKind.REMOVED
MAX_REMOVALS, MAX_REMOVED_ROWS = 4096, 1024


class ContainerCache:
    """Caches the containers and events of one engine. `dirty`: the ids of containers to inspect; `dirtied` is set while
    there are any. `version` grows with every change."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._containers: dict[str, Container] = {}
        self._uninspected: dict[str, Container] = {}  # known only from events
        self._changed_at: dict[str, int] = {}  # by container: the engine's time of its last change after the last list
        self._listed_at = 0
        self._as_reported: dict[str, Container] = {}  # by events, if an inspection has shown another state since
        self._partly_known: dict[str, set[EventKind]] = {}  # first seen by an event that is not its creation
        self._removed_at: dict[str, int] = {}
        self._removed: dict[str, Container] = {}  # the newest ones, as they were known last
        self._stream_up = self._listed = False
        self._stream_since, self._stream_fault = now(), ""
        self._ever_listed = False
        self._silence: errors.EngineError | None = None
        self.wanted = asyncio.Event()  # somebody asked for what a silent engine has
        self.last_contact = 0.0  # when the engine last sent anything, by our clock, in seconds
        self._rows: tuple[Container, ...] = ()
        self._rows_key: tuple[int, int] = (-1, -1)
        self.version = 0
        self.dirty: dict[str, None] = {}
        self.dirtied = asyncio.Event()
        self.history = event_history.EventHistory()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def live(self) -> bool:
        """Whether the cache is complete and current, so that lists are answered from it."""
        return self._stream_up and self._listed and not self._uninspected

    @property
    def silence(self) -> errors.EngineError | None:
        """Why the engine is known not to answer; None if it answers, or if that is not known."""
        return self._silence

    @property
    def not_live_reason(self) -> str:
        """Why lists are not answered from the cache, as a sentence; empty if they are."""
        if not self._stream_up:
            return self._stream_fault or "The event stream is not open yet."
        if not self._listed:
            return "The containers are being listed."
        return f"New containers are being inspected: {len(self._uninspected)}." if self._uninspected else ""

    @property
    def containers(self) -> Mapping[str, Container]:
        """The containers by id. `status` is the engine's last text. An unchanged container stays the same object."""
        return self._containers

    def last_known_row(self, container_id: str) -> Container | None:
        """Returns a container as a list, an inspection or its events have shown it last, also if it was removed lately.
        Labels that only events have shown are not fit for permissions."""
        return (
            self._containers.get(container_id)
            or self._uninspected.get(container_id)
            or self._removed.get(container_id)
            or self._as_reported.get(container_id)
        )

    def listing(self) -> Containers:
        key = (self.version, int(now := self._now()))
        if key != self._rows_key:
            self._rows = tuple([status_text.refresh_status(row, now) for row in self._containers.values()])
            self._rows_key = key
        return Containers(rows=self._rows, source="mirror", age=max(0.0, now - self.last_contact))

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def stream_opened(self, since_ns: int) -> None:
        """Records that the stream is connected. It has every event from `since_ns` on that the engine still has."""
        self._silence = None
        if not self._stream_up:
            self._stream_up, self._stream_since = True, self._now()
        if self.history.complete_since is None:
            self.history.complete_since = since_ns

    def stream_lost(self, fault: str = "") -> None:
        """Records that the stream is lost: from now on the cache may be wrong, so lists are requested from the engine.
        `fault`: the reason, as a sentence."""
        if self._stream_up:
            self._stream_since = self._now()
        self._stream_up = self._listed = False
        self._stream_fault = fault

    def engine_silent(self, reason: errors.EngineError) -> None:
        """Records that the engine answers neither with a stream nor with a list."""
        self._silence = reason

    def engine_answers(self) -> None:
        self._silence = None

    def events_lost(self, at_ns: int) -> None:
        """Records that events before `at_ns` were dropped: until the next complete list, the engine is asked."""
        self._listed = False
        self.history.complete_since = at_ns

    def add_to_history(self, events: Sequence[Event]) -> None:
        self.history.add(events)

    def apply_events(self, events: Sequence[Event]) -> None:
        """Applies live and replayed events, in the engine's order. Events that a relist found are ignored, because its
        list was applied already."""
        self.last_contact = self._now()
        other, container, resync = EventKind.OTHER, Kind.CONTAINER, Origin.RESYNC
        for event in events:
            if event.kind is not other and event.subject.kind is container and event.origin is not resync:
                self._apply_event(event)

    def _apply_event(self, event: Event) -> None:
        container_id, at, kind = event.subject.id, event.at_ns, event.kind
        if kind is _REMOVED:
            self._remove(container_id, at)
            self._as_reported.pop(container_id, None)
            return
        if container_id in self._removed_at:
            if kind is not _CREATED or at <= self._removed_at[container_id]:
                return
            del self._removed_at[container_id]  # containerd's ids are names, and may be used again
        stored = self._containers.get(container_id) or self._uninspected.get(container_id)
        if stored is None:
            self._uninspected[container_id] = stored = state_updates.from_first_event(event)
            if kind is not _CREATED and container_id not in self._as_reported:
                self._partly_known[container_id] = set()
        elif at < self._listed_at or at < self._changed_at.get(container_id, 0):
            self.mark_dirty(container_id)
            return
        if container_id in self._partly_known:
            self._partly_known[container_id].add(kind)
        changed = state_updates.apply_event(stored, event)
        if changed is not stored:
            self._store(container_id, changed)
        if container_id in self._as_reported:
            self._as_reported[container_id] = state_updates.apply_event(self._as_reported[container_id], event)
        self._changed_at[container_id] = at
        if kind not in state_updates.COMPLETE_EVENTS or container_id in self._uninspected:
            self.mark_dirty(container_id)

    def replace(self, rows: Iterable[Container], at_ns: int) -> None:
        """Replaces all containers by a list. `at_ns`: the time of the newest event when the list was requested. Changes
        by later events remain. A row that was not inspected gets the details of an earlier inspection."""
        if at_ns >= self._listed_at:
            before, changed_at = {**self._containers, **self._uninspected}, self._changed_at
            listed = {
                row.ref.id: self._relisted(
                    row, before.get(row.ref.id), changed_since=changed_at.get(row.ref.id, 0) > at_ns
                )
                for row in rows
                if not self._was_removed(row)
            }
            born_since = [each for each in before if each not in listed and changed_at.get(each, 0) > at_ns]
            listed |= {each: before[each] for each in born_since if each not in self._uninspected}
            self._uninspected = {each: before[each] for each in born_since if each in self._uninspected}
            if listed != self._containers:
                self.version += 1
            self._containers = listed
            for each in self._removed_at.keys() & listed.keys():
                del self._removed_at[each]
            self._listed_at = at_ns
            self._changed_at = {each: at for each, at in changed_at.items() if at > at_ns and self._has(each)}
            self._as_reported = {
                each: row
                for each, row in self._as_reported.items()
                if each in self._changed_at or self._removed_at.get(each, 0) > at_ns
            }
            self._partly_known = {each: self._partly_known[each] for each in self._partly_known if each in born_since}
            self.dirty = {each: None for each in self.dirty if self._has(each)}
        self._listed = self._ever_listed = True
        self.last_contact = self._now()

    def _relisted(self, row: Container, stored: Container | None, *, changed_since: bool) -> Container:
        if stored is None:
            if row.restarts is None:
                self.mark_dirty(row.ref.id)
            return row
        if changed_since:
            self.mark_dirty(row.ref.id)
            row = state_updates.keep_newer_state(stored, row)
        elif row.restarts is None:
            if stored.restarts is None or stored.state != row.state:
                self.mark_dirty(row.ref.id)
            row = state_updates.keep_inspected_details(stored, row)
        same = row.restarts is not None and msgspec.structs.replace(row, status=stored.status) == stored
        return stored if same else row

    def apply_inspections(self, inspected: Mapping[str, Container | None], at_ns: int) -> None:
        """Applies inspections; None means that the container does not exist any more. `at_ns`: the time of the newest
        event when they began. If a later event or list changed the container, that change remains and the container
        is inspected again."""
        for container_id, found in inspected.items():
            uninspected = self._uninspected.pop(container_id, None)
            stored = uninspected or self._containers.get(container_id)
            if found is None:
                if stored is not None:
                    self._as_reported.setdefault(container_id, stored)
                    self._remove(container_id, at_ns)
            elif container_id in self._removed_at:
                continue
            elif at_ns < max(self._listed_at, self._changed_at.get(container_id, 0)):
                if uninspected is not None:  # now its labels are known; its state remains as events reported it
                    self._store(container_id, state_updates.keep_newer_state(uninspected, found))
                self.mark_dirty(container_id)
            else:
                base = found if stored is None or uninspected is not None else stored
                detailed = state_updates.apply_inspection(base, found)
                if stored is not None and stored != detailed:
                    self._as_reported.setdefault(container_id, stored)
                self._store(container_id, detailed)
                self._changed_at[container_id] = at_ns

    def mark_dirty(self, container_id: str) -> None:
        """Marks a container that should be inspected."""
        if container_id not in self.dirty:
            self.dirty[container_id] = None
            self.dirtied.set()

    def pop_dirty(self, limit: int) -> list[str]:
        """Removes up to `limit` ids from `dirty`, oldest first, and returns them."""
        for container_id in (taken := list(self.dirty)[:limit]):
            del self.dirty[container_id]
        if not self.dirty:
            self.dirtied.clear()
        return taken

    def reported(self) -> dict[str, Container]:
        """Returns every container as events and lists reported it, without changes that only inspections showed."""
        return {**self._containers, **self._uninspected, **self._as_reported}

    @property
    def partly_known(self) -> Mapping[str, Collection[EventKind]]:
        """The containers whose creation no event has reported, and what events have reported of them."""
        return self._partly_known

    @property
    def reported_version(self) -> object:
        """Changes whenever `reported` does."""
        return (self.version, len(self._as_reported), tuple(self._uninspected.values()))

    @property
    def ever_listed(self) -> bool:
        """Whether the engine was listed since this cache was made."""
        return self._ever_listed

    def remember(self, rows: Iterable[Container]) -> None:
        """Takes the containers that the engine had when another process watched it. They are compared with the first
        list, and shown to nobody."""
        if not self._ever_listed:
            self._as_reported = {row.ref.id: row for row in rows}

    def changed_after(self, at_ns: int) -> Collection[str]:
        """Returns the ids of the containers that changed after a list requested at `at_ns`."""
        gone = {each for each, at in self._removed_at.items() if at > at_ns or each not in self._as_reported}
        return gone | {each for each, at in self._changed_at.items() if at > at_ns}

    def _has(self, container_id: str) -> bool:
        return container_id in self._containers or container_id in self._uninspected

    def _store(self, container_id: str, row: Container) -> None:
        if container_id in self._uninspected:
            self._uninspected[container_id] = row
        elif (stored := self._containers.get(container_id)) is not row and stored != row:
            self._containers[container_id] = row
            self.version += 1

    def _remove(self, container_id: str, at_ns: int) -> None:
        listed, uninspected = self._containers.pop(container_id, None), self._uninspected.pop(container_id, None)
        if listed is not None:
            self.version += 1
        if (row := listed or uninspected or self._as_reported.get(container_id)) is not None:
            self._removed[container_id] = row
            limit_entries(self._removed, MAX_REMOVED_ROWS)
        self._partly_known.pop(container_id, None)
        self._changed_at.pop(container_id, None)
        self.dirty.pop(container_id, None)
        # Late input does not restore a removed container, but another one with the same id may be created.
        self._removed_at[container_id] = at_ns
        limit_entries(self._removed_at, MAX_REMOVALS)

    def _was_removed(self, row: Container) -> bool:
        """Whether it was removed after the list was made. Docker rounds the creation time down to seconds."""
        removed_at = self._removed_at.get(row.ref.id)
        return removed_at is not None and row.created_at * 1e9 <= removed_at
