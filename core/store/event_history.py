"""Stores the history of events of all engines: each event once, with an index by resource. Limits the size of the
history.

Only the newest events are stored. Their number, their total size and their age are limited, approximately. Several
processes may store the same event: the first one adds it, and a later one only adds what it knows of its cause. Times
are in microseconds since the epoch, by the engines' clocks, but never after the time at which the event was stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import msgspec

from core.store import keys
from core.store.audit_trail import AuditTrail
from core.store.connection import milliseconds, text
from core.store.records import EventsFound, EventsWanted, StoredEvent

MEMBERS_AT_ONCE = 5_000
MAX_MEMBERS = 50_000  # of the index of names that are compared with one name
NEWEST = "9" * 16
_KEYS = (keys.EVENTS, keys.EVENT_TIMES, keys.EVENT_NAMES, keys.EVENT_STATE)


class EventHistoryStore(AuditTrail):
    """Stores events, and finds them by time and by resource."""

    async def record_events(self, events: Iterable[StoredEvent], *, lost: int = 0, lost_until_us: int = 0) -> int:
        """Stores events, and that `lost` others could not be stored. Returns how many of the events are new. It may be
        repeated. Raises StoreFull if the rest of the memory is reserved for changes and grants."""
        self.check_reserve()
        rows: list[str | bytes] = []
        for event in events:
            rows += [_key(event), msgspec.json.encode(event)]
        limits = self._event_limits.to_json()
        return int(await self._run("record_events", names=_KEYS, args=(limits, lost, lost_until_us, *rows)))

    async def remove_old_events(self, passes: int) -> int:
        """Removes events beyond the limits, in at most so many steps of a few dozen. Returns how many. Writers remove
        them too, but only while they write."""
        removed, left = 0, await self._stored_events()
        for _ in range(passes):
            before = left
            await self._run("record_events", names=_KEYS, args=(self._event_limits.to_json(), 0, 0))
            left = await self._stored_events()
            if left >= before:
                break
            removed += before - left
        return removed

    async def _stored_events(self) -> int:
        async with self._call():
            return int(await self._client.zcard(self._key(keys.EVENT_TIMES)))

    async def find_events(self, wanted: EventsWanted, selects: Callable[[str, str, str], bool]) -> EventsFound:
        """Returns the newest events that are wanted, oldest first, and perhaps others of the same time with other
        names. `selects` chooses by type, action and kind."""
        if wanted.names:
            found, state, oldest, complete = await self._by_name(wanted)
        else:
            found, state, oldest, complete = await self._by_time(wanted, selects)
        async with self._call():
            rows = await self._client.hmget(self._key(keys.EVENTS), found) if found else []
        events = sorted((row for each in rows if each and (row := _decode(each))), key=lambda row: row.at_us)
        return EventsFound(
            events=tuple(
                row for row in events if row.engine in wanted.engines and selects(row.type, row.action, row.kind)
            ),
            oldest_us=int(oldest or 0),
            cut_until_us=int(state.get(b"cut_until", 0)),
            lost=int(state.get(b"lost", 0)),
            lost_until_us=int(state.get(b"lost_until", 0)),
            complete=complete,
            kept_seconds=self._event_limits.seconds,
        )

    async def record_own_changes(self, engine: str, containers: Iterable[str], value: bytes, ttl: float) -> None:
        """Notes for `ttl` seconds that a change is about to end these containers of an engine (its key)."""
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            for container in containers:
                pipe.set(self._key(keys.call(engine, container)), value, px=milliseconds(ttl))
            await pipe.execute()

    async def take_own_changes(self, engine: str, containers: Sequence[str]) -> dict[str, bytes]:
        """Returns what was noted of these containers, and forgets it: a change ends each container only once."""
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            for container in containers:
                pipe.getdel(self._key(keys.call(engine, container)))
            found = await pipe.execute()
        return {container: value for container, value in zip(containers, found, strict=True) if value}

    async def _by_time(
        self, wanted: EventsWanted, selects: Callable[[str, str, str], bool]
    ) -> tuple[list[str], dict[bytes, bytes], str, bool]:
        low, high = f"[{_padded(wanted.since_us)}", f"({_after(wanted.until_us)}"
        found: list[str] = []
        state: dict[bytes, bytes] | None = None
        oldest = ""
        count = min(MEMBERS_AT_ONCE, wanted.limit)
        while len(found) < wanted.limit:
            async with self._call(), self._client.pipeline(transaction=False) as pipe:
                pipe.zrange(self._key(keys.EVENT_TIMES), high, low, desc=True, bylex=True, offset=0, num=count)
                if state is None:
                    pipe.hgetall(self._key(keys.EVENT_STATE)).zrange(self._key(keys.EVENT_TIMES), 0, 0)
                members, *rest = await pipe.execute()
            if state is None:
                state, first = rest
                oldest = text(first[0])[:16] if first else ""
            for member in members:
                _, engine, type_, action, kind, key = text(member).split("\0")
                if engine in wanted.engines and selects(type_, action, kind):
                    found.append(key)
            if len(members) < count:
                break
            high, count = b"(" + members[-1], MEMBERS_AT_ONCE
        return found[: wanted.limit], state or {}, oldest, True

    async def _by_name(self, wanted: EventsWanted) -> tuple[list[str], dict[bytes, bytes], str, bool]:
        """Looks each name up as it is. A name that no event has is looked up as the start of a name or an id."""
        exact = [name for name in wanted.names if not name.is_prefix]
        low, high = _padded(wanted.since_us), _after(wanted.until_us)
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._key(keys.EVENT_STATE)).zrange(self._key(keys.EVENT_TIMES), 0, 0)
            pipe.zlexcount(self._key(keys.EVENT_TIMES), f"[{low}", f"({high}")
            for name in exact:
                start = f"{name.text}\0"
                pipe.zrange(
                    self._key(keys.EVENT_NAMES),
                    f"({start}{high}",
                    f"[{start}{low}",
                    desc=True,
                    bylex=True,
                    offset=0,
                    num=wanted.limit,
                )
            state, first, number, *answers = await pipe.execute()
        found = [member for answer in answers for member in answer]
        oldest = text(first[0])[:16] if first else ""
        prefixes = [name.text for name, answer in zip(exact, answers, strict=True) if name.or_prefix and not answer]
        prefixes += [name.text for name in wanted.names if name.is_prefix]
        complete = not prefixes or number <= wanted.limit
        if prefixes and number > wanted.limit:
            parts = [await self._by_prefix(prefix, low, high) for prefix in prefixes]
            complete = all(whole for _, whole in parts)
            found += [member for members, _ in parts for member in members]
        if prefixes and (number <= wanted.limit or not complete):
            # Few events in this time, or too many names: the caller chooses among the newest events.
            keys_found, *_ = await self._by_time(replace(wanted, names=()), lambda *_: True)
            return keys_found, state, oldest, complete
        times = {key: at for at, key in (text(member).split("\0")[1:] for member in found)}
        newest = sorted(times, key=lambda key: times[key], reverse=True)[: wanted.limit]
        return newest, state, oldest, complete

    async def _by_prefix(self, prefix: str, low: str, high: str) -> tuple[list[bytes], bool]:
        found: list[bytes] = []
        start: bytes | str = f"[{prefix}"
        for _ in range(MAX_MEMBERS // MEMBERS_AT_ONCE):
            async with self._call():
                members = await self._client.zrange(
                    self._key(keys.EVENT_NAMES),
                    start,
                    f"[{prefix}".encode() + b"\xff",
                    bylex=True,
                    offset=0,
                    num=MEMBERS_AT_ONCE,
                )
            found += [member for member in members if low <= text(member).split("\0")[1] < high]
            if len(members) < MEMBERS_AT_ONCE:
                return found, True
            start = b"(" + members[-1]
        return found, False


def _key(event: StoredEvent) -> str:
    """The same for the same fact, whichever process stores it."""
    identity = "\0".join((event.engine, event.at_ns, event.type, event.action, event.subject_id))
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:20]


def _decode(row: bytes) -> StoredEvent | None:
    """None for a row that another version of Quarterdeck wrote and this one cannot read."""
    try:
        return msgspec.json.decode(row, type=StoredEvent)
    except msgspec.MsgspecError:
        return None


def _padded(at_us: int) -> str:
    return f"{max(0, at_us):016d}"


def _after(until_us: int) -> str:
    return f"{until_us + 1:016d}" if until_us else NEWEST
