"""What exists on one engine, held in memory; itself a Runtime, so that readers cannot tell it from the engine.

In: full lists (`replace`), events in the engine's order (`apply`), inspected details (`update`), the loss of the stream
(`stream_lost`). Out: lists in no time while the stream stands and the last list is whole, otherwise the engine is
asked.
All times are the engine's. An event older than what we know of its container changes nothing but marks it for another
look; so does an inspection that had begun before the last list was asked for. Late and repeated news are harmless, and
any order of events, lists and inspections ends in the same picture. A container known from events alone has no labels
yet, and labels decide what people may do: until it was described the engine answers. The history is bounded; exec
events are left out of it, since health probes would flush everything else.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar, cast

import msgspec

from core.model.actions import Action, DescribeEngine, ListContainers, ListEvents
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind
from core.ports import Call, Runtime
from runtimes.formats import status_text
from runtimes.inventory import transitions

R = TypeVar("R")
# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_CREATED, _HEALTH = EventKind.CREATED, EventKind.HEALTH
_OTHER, _REMOVED = EventKind.OTHER, EventKind.REMOVED
HISTORY = 4096
REMEMBERED_REMOVALS = 4096


class Watched(Runtime, Protocol):
    """A Runtime that can be mirrored. `engine_id` is stable and empty before the first contact. `describe` inspects, a
    few at once, within `deadline` seconds for all; None where a container is gone. `allows`: whether its host's owner
    does, be it a verb it has or not."""

    @property
    def engine_id(self) -> str: ...

    def allows(self, verb: str) -> bool: ...

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]: ...


class Mirror:
    """`dirtied` is set while `dirty` has ids whose details should be described. `version` moves with every change."""

    def __init__(self, runtime: Watched, *, now: Callable[[], float] = time.time) -> None:
        self._runtime = runtime
        self._now = now
        self._things: dict[str, Container] = {}
        self._newborn: dict[str, Container] = {}
        self._known_at: dict[str, int] = {}  # per container: the engine's time of what changed it after the last list
        self._listed_at = 0
        self._untold: dict[str, Container] = {}  # as events left it, where an inspection has shown another state since
        self._removed: dict[str, int] = {}
        self._standing = self._listed = False
        self._stream_since, self._stream_fault = now(), ""
        self.confirmed = 0.0  # when the engine was last heard, by our clock, in seconds
        self._served: tuple[Container, ...] = ()
        self._served_for: tuple[int, int] = (-1, -1)
        self.version = 0
        self.dirty: dict[str, None] = {}
        self.dirtied = asyncio.Event()
        self.history: deque[Event] = deque(maxlen=HISTORY)
        self._history_from: int | None = None

    # ── as a Runtime ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ref(self) -> EngineRef:
        return self._runtime.ref

    @property
    def present(self) -> bool:
        return self._runtime.present

    @property
    def verbs(self) -> frozenset[str]:
        """The engine's, and telling what happened: one that remembers nothing itself was listened to."""
        told = ListEvents.verb
        return self._runtime.verbs | {told} if self._runtime.allows(told) else self._runtime.verbs

    async def run(self, action: Action[R], call: Call) -> R:
        if isinstance(action, ListContainers) and not action.fresh and self.live and action.verb in self.verbs:
            return cast(R, self.listing())
        if isinstance(action, ListEvents) and action.verb in self.verbs:
            return cast(R, await self._list_events(action, call))
        if isinstance(action, DescribeEngine):
            engine = cast(Engine, await self._runtime.run(action, call))
            return cast(R, self._with_stream(engine))
        return await self._runtime.run(action, call)

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        return self._runtime.events(since_ns)

    async def aclose(self) -> None:
        await self._runtime.aclose()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def live(self) -> bool:
        """Whether lists are answered from here."""
        return self._standing and self._listed and not self._newborn

    @property
    def containers(self) -> Mapping[str, Container]:
        """By id; `status` is whatever the engine said last. Equal objects stay the same object between changes."""
        return self._things

    def listing(self) -> Containers:
        now = self._now()
        key = (self.version, int(now))
        if key != self._served_for:
            self._served = tuple([status_text.refreshed(row, now) for row in self._things.values()])
            self._served_for = key
        return Containers(rows=self._served, source="mirror", age=max(0.0, now - self.confirmed))

    def _with_stream(self, engine: Engine) -> Engine:
        return msgspec.structs.replace(
            engine,
            verbs=tuple(sorted(self.verbs)),
            stream="up" if self._standing else "down",
            stream_since=self._stream_since,
            stream_fault="" if self._standing else self._stream_fault,
        )

    async def _list_events(self, action: ListEvents, call: Call) -> tuple[Event, ...]:
        known = [event for event in self.history if event.at_ns >= action.since_ns]
        if not (self.live and self._history_from is not None and self._history_from <= action.since_ns):
            # The engine's own memory is short too (Docker's holds 256 of all types): both together tell the most.
            told = await self._runtime.run(action, call) if action.verb in self._runtime.verbs else ()
            merged = {event.identity(): event for event in told if not _noise(event)}
            merged.update((event.identity(), event) for event in known)
            known = list(merged.values())
        known.sort(key=_at)
        return tuple(known[-action.limit :])

    # ── being fed ────────────────────────────────────────────────────────────────────────────────────────────────

    def stream_opened(self, since_ns: int) -> None:
        """A stream stands that tells everything from `since_ns` on, as far as the engine remembers."""
        if not self._standing:
            self._standing, self._stream_since = True, self._now()
        if self._history_from is None:
            self._history_from = since_ns

    def stream_lost(self, fault: str = "") -> None:
        """The stream is lost: what we hold may be wrong from now on, and lists are asked of the engine again. `fault`:
        why, in a sentence."""
        if self._standing:
            self._stream_since = self._now()
        self._standing = self._listed = False
        self._stream_fault = fault

    def lost_events(self, at_ns: int) -> None:
        """Events were dropped: the history has a hole before `at_ns`, and the list cannot be trusted until the next."""
        self._listed = False
        self._history_from = at_ns

    def remember(self, events: Sequence[Event]) -> None:
        """Adds to the history, in the order given."""
        kept = [event for event in events if not _noise(event)]
        if (over := len(self.history) + len(kept) - HISTORY) > 0:
            falls_out = itertools.islice(itertools.chain(self.history, kept), over)
            self._history_from = max(self._history_from or 0, max(map(_at, falls_out)) + 1)
        self.history.extend(kept)

    def apply(self, events: Sequence[Event]) -> None:
        """Live and replayed events, in the engine's order. Those a relist found change nothing: its list does."""
        self.confirmed = self._now()
        other, container, resync = EventKind.OTHER, Kind.CONTAINER, Origin.RESYNC
        for event in events:
            if event.kind is not other and event.subject.kind is container and event.origin is not resync:
                self._apply(event)

    def _apply(self, event: Event) -> None:
        thing, at, kind = event.subject.id, event.at_ns, event.kind
        if kind is _REMOVED:
            self._forget(thing, at)
            self._untold.pop(thing, None)
            return
        if thing in self._removed:
            if kind is not _CREATED or at <= self._removed[thing]:
                return
            del self._removed[thing]  # a name that is an id may be given again
        known = self._things.get(thing) or self._newborn.get(thing)
        if known is None:
            self._newborn[thing] = known = transitions.newborn(event)
        elif at < max(self._listed_at, self._known_at.get(thing, 0)):
            self.mark_dirty(thing)
            return
        self._hold(thing, transitions.after(known, event))
        if thing in self._untold:
            self._untold[thing] = transitions.after(self._untold[thing], event)
        self._known_at[thing] = at
        if kind not in transitions.NOTHING_TO_SEE or thing in self._newborn:
            self.mark_dirty(thing)

    def replace(self, rows: Iterable[Container], at_ns: int) -> None:
        """The whole list, asked for when `at_ns` was the engine's time of the newest event heard. What events told
        since then stays. Rows without an inspection keep what an earlier one found."""
        if at_ns >= self._listed_at:
            before, since = {**self._things, **self._newborn}, self._known_at
            things = {
                row.ref.id: self._relisted(row, before.get(row.ref.id), newer=since.get(row.ref.id, 0) > at_ns)
                for row in rows
                if not self._gone(row)
            }
            born_since = [thing for thing in before if thing not in things and since.get(thing, 0) > at_ns]
            things |= {thing: before[thing] for thing in born_since if thing not in self._newborn}
            self._newborn = {thing: before[thing] for thing in born_since if thing in self._newborn}
            if things != self._things:
                self._changed()
            self._things = things
            for thing in self._removed.keys() & things.keys():
                del self._removed[thing]
            self._listed_at = at_ns
            self._known_at = {thing: at for thing, at in since.items() if at > at_ns and self._holds(thing)}
            self._untold = {
                thing: row
                for thing, row in self._untold.items()
                if thing in self._known_at or self._removed.get(thing, 0) > at_ns
            }
            self.dirty = {thing: None for thing in self.dirty if self._holds(thing)}
        self._listed = True
        self.confirmed = self._now()

    def _relisted(self, row: Container, known: Container | None, *, newer: bool) -> Container:
        if known is None:
            if row.restarts is None:
                self.mark_dirty(row.ref.id)
            return row
        if newer:
            self.mark_dirty(row.ref.id)
            row = transitions.with_state_of(known, row)
        elif row.restarts is None:
            if known.restarts is None or known.state != row.state:
                self.mark_dirty(row.ref.id)
            row = transitions.with_detail_of(known, row)
        same = row.restarts is not None and msgspec.structs.replace(row, status=known.status) == known
        return known if same else row

    def update(self, details: Mapping[str, Container | None], at_ns: int) -> None:
        """What inspections found, begun when `at_ns` was the engine's time of the newest event heard. Where an event or
        a list told something since, that stays and another look is due."""
        for thing, found in details.items():
            born = self._newborn.pop(thing, None)
            known = born or self._things.get(thing)
            if found is None:
                if known is not None:
                    self._untold.setdefault(thing, known)
                    self._forget(thing, at_ns)
            elif thing in self._removed:
                continue
            elif at_ns < max(self._listed_at, self._known_at.get(thing, 0)):
                if born is not None:  # its labels are known from now on; its state is what events say
                    self._hold(thing, transitions.with_state_of(born, found))
                self.mark_dirty(thing)
            else:
                detailed = transitions.with_detail(found if known is None or born is not None else known, found)
                if known is not None and known != detailed:
                    self._untold.setdefault(thing, known)
                self._hold(thing, detailed)
                self._known_at[thing] = at_ns

    def mark_dirty(self, thing: str) -> None:
        """Marks a container whose details should be described."""
        self.dirty[thing] = None
        self.dirtied.set()

    def take_dirty(self, most: int) -> list[str]:
        """Takes up to `most` ids out of `dirty`, oldest first."""
        taken = list(self.dirty)[:most]
        for thing in taken:
            del self.dirty[thing]
        if not self.dirty:
            self.dirtied.clear()
        return taken

    # ── for the relist ───────────────────────────────────────────────────────────────────────────────────────────

    def known(self) -> dict[str, Container]:
        """Everything as events and lists have told it, without what inspections alone have shown since."""
        return {**self._things, **self._newborn, **self._untold}

    def newer_than(self, at_ns: int) -> Collection[str]:
        """Containers we know something of that is newer than a list asked for at `at_ns`."""
        gone = {thing for thing, at in self._removed.items() if at > at_ns or thing not in self._untold}
        return gone | {thing for thing, at in self._known_at.items() if at > at_ns}

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _holds(self, thing: str) -> bool:
        return thing in self._things or thing in self._newborn

    def _hold(self, thing: str, row: Container) -> None:
        if thing in self._newborn:
            self._newborn[thing] = row
        elif self._things.get(thing) != row:
            self._things[thing] = row
            self._changed()

    def _forget(self, thing: str, at_ns: int) -> None:
        if self._things.pop(thing, None) is not None:
            self._changed()
        self._newborn.pop(thing, None)
        self._known_at.pop(thing, None)
        self.dirty.pop(thing, None)
        # A removed one stays removed, whatever is heard of it later, unless that is how another one of its id began.
        self._removed[thing] = at_ns
        if len(self._removed) > REMEMBERED_REMOVALS:
            del self._removed[next(iter(self._removed))]

    def _gone(self, row: Container) -> bool:
        """Whether a list tells of one that was removed since; Docker cuts the time of its creation to whole seconds."""
        removed_at = self._removed.get(row.ref.id)
        return removed_at is not None and row.created_at * 1e9 <= removed_at

    def _changed(self) -> None:
        self.version += 1


def _noise(event: Event) -> bool:
    """What every health check leaves: programs run in a container, and that one was made without what it found."""
    kind = event.kind
    return (kind is _OTHER and event.action.startswith("exec")) or (kind is _HEALTH and "health" not in event.attrs)


def _at(event: Event) -> int:
    return event.at_ns
