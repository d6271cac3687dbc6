"""Supplies evidence for the check after a change: whether the containers still run and are healthy. The evidence is the
new events of the containers, and how often each of them ended recently.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from core.model.end_causes import CauseKind
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind
from core.model.refs import Ref
from runtimes.base.run_verification import KnownEnds
from runtimes.inventory.event_history import EventHistory
from runtimes.inventory.own_changes import is_ending_signal

LATELY_NS = 3_600 * 1_000_000_000
# A container that ends when Quarterdeck restarts it did not end by itself.
REQUESTED = frozenset({CauseKind.REQUESTED, CauseKind.REPLACED, CauseKind.LOST})
REPORTS_SIGNALS = ("docker",)
# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_DIED, _KILLED, _STARTED, _STOPPED = EventKind.DIED, EventKind.KILLED, EventKind.STARTED, EventKind.STOPPED


class RunEventWaiters:
    """Lets a task wait for the next event of some containers of one engine."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, tuple[Collection[str], set[str]]] = {}

    def publish(self, events: Sequence[Event]) -> None:
        for woken, (ids, found) in self._waiting.items():
            found.update(event.subject.id for event in events if event.subject.id in ids)
            if found:
                woken.set()

    async def changed(self, ids: Collection[str], seconds: float) -> Collection[str]:
        """Returns which of these containers an event was published of, once there are any, or after `seconds`."""
        with self._woken(frozenset(ids)) as (woken, found):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await woken.wait()
            return found

    @contextlib.contextmanager
    def _woken(self, ids: Collection[str]) -> Iterator[tuple[asyncio.Event, set[str]]]:
        woken, found = asyncio.Event(), set[str]()
        self._waiting[woken] = (ids, found)
        try:
            yield woken, found
        finally:
            del self._waiting[woken]


class WatchedCache(Protocol):
    """The part of a mirror that a witness reads. `live`: it receives the events of its engine now."""

    history: EventHistory
    runs: RunEventWaiters

    @property
    def live(self) -> bool: ...


class MirrorWitness:
    """Knows the events that a mirror has received."""

    def __init__(self, mirror: WatchedCache) -> None:
        self._mirror, self._began_ns = mirror, time.time_ns()
        self._known = mirror.history.number  # of the events before the last look at the containers

    async def changed(self, ids: Collection[str], seconds: float, /) -> Collection[str] | None:
        if not self._mirror.live:
            return None
        # An event that arrived during the last look may be newer than what was seen.
        found: Collection[str] = {event.subject.id for event in self._mirror.history.after(self._known)} & set(ids)
        found = found or await self._mirror.runs.changed(ids, seconds)
        self._known = self._mirror.history.number
        return found

    async def ends(self, ref: Ref, /) -> KnownEnds:
        return count_ends(self._mirror.history.since(_lately()), ref.id, self._began_ns)

    def stopped(self, container_id: str, /) -> bool:
        for event in reversed(list(self._mirror.history)):
            if event.subject.id == container_id:
                if _asks_to_end(event):
                    return True
                if event.kind is _STARTED:
                    return False
        return False


class StoredWitness:
    """Knows the ends that the process which watches an engine has stored. `read` returns the stored events."""

    def __init__(self, read: ReadStored) -> None:
        self._read, self._began_ns = read, time.time_ns()

    async def changed(self, ids: Collection[str], seconds: float, /) -> Collection[str] | None:
        return None

    async def ends(self, ref: Ref, /) -> KnownEnds:
        wanted = ListEvents(engine=ref.engine, since_ns=_lately(), names=((ref.name, (ref,)),))
        return count_ends(await self._read(wanted), ref.id, self._began_ns)

    def stopped(self, container_id: str, /) -> bool:
        return False


class ReadStored(Protocol):
    """Returns the stored events that an action asks for; none while the store is away."""

    async def __call__(self, action: ListEvents, /) -> Sequence[Event]: ...


def count_ends(events: Sequence[Event], container_id: str, began_ns: int) -> KnownEnds:
    """Counts the ends of a container that nobody asked for. Their causes are known some seconds after them; without
    one, an end is asked for if a client has sent a signal before it, and on engines that do not report signals if it
    happened before the verification began, because the change itself may have ended the container."""
    own: list[Event] = []
    signalled = False
    for event in events:
        if event.subject.id != container_id:
            continue
        if event.kind is _STARTED:
            signalled = False
        signalled = signalled or _asks_to_end(event)
        if event.kind is not _DIED:
            continue
        cause = event.attrs.get("cause")
        if cause is None:
            asked = signalled if event.subject.engine.kind in REPORTS_SIGNALS else event.at_ns < began_ns
        else:
            asked = cause in REQUESTED
        if not asked:
            own.append(event)
    code = own[-1].attrs.get("exit_code", "") if own else ""
    return KnownEnds(number=len(own), exit_code=int(code) if code.lstrip("-").isdecimal() else None)


def _asks_to_end(event: Event) -> bool:
    """Whether a client asks a container to end. A signal such as HUP often means “reload”."""
    return event.kind is _STOPPED or (event.kind is _KILLED and is_ending_signal(event.attrs.get("signal", "TERM")))


def _lately() -> int:
    return time.time_ns() - LATELY_NS
