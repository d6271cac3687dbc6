"""Stores which incidents still have to be sent to other systems, and the alerts that were received from them.

Each change of an incident gets a time in a log, which all processes share. An outlet is one system that gets incidents.
It has a position in the log and a queue of incidents to deliver, so no incident is lost while it cannot be reached. An
incident that changes again is delivered once, in its newest state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from core.lazy_dataclass import dataclass
from core.store import keys
from core.store.connection import StoreConnection, text

MAX_MOVED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedChange:
    """One incident that has to be sent to an outlet. `at_us`: when it changed, in microseconds since the epoch."""

    key: str
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletQueue:
    """Entries of an outlet's queue, the oldest first; how many it has in all; and when the oldest of all changed, in
    microseconds since the epoch: 0 if there is none."""

    entries: tuple[QueuedChange, ...] = ()
    size: int = 0
    oldest_us: int = 0


class OutletStore(StoreConnection):
    """Stores the queues of outlets, and alerts of other systems. Methods raise errors.StoreDown or StoreError."""

    async def outlet_queue(self, outlet: str, limit: int, after_us: int = 0) -> OutletQueue:
        """Returns the oldest `limit` entries that changed after this time, in microseconds since the epoch. The first
        call for an outlet begins at the present."""
        size, oldest, *found = await self._run(
            "outlet_pull",
            names=(keys.INCIDENT_LOG, keys.outlet_position(outlet), keys.outlet_queue(outlet)),
            args=(MAX_MOVED, limit, after_us),
        )
        entries = [
            QueuedChange(key=text(key), at_us=int(float(at))) for key, at in zip(found[::2], found[1::2], strict=True)
        ]
        return OutletQueue(entries=tuple(entries), size=int(size), oldest_us=int(float(oldest)))

    async def outlet_delivered(self, outlet: str, change: QueuedChange) -> bool:
        """Removes an entry. Returns False if its incident has changed again meanwhile."""
        return bool(await self._run("outlet_done", names=(keys.outlet_queue(outlet),), args=(change.key, change.at_us)))

    async def received_alerts(self, fingerprints: Sequence[str]) -> dict[str, bytes]:
        """Returns the open alerts of another system with these fingerprints, as they were stored first."""
        if not fingerprints:
            return {}
        async with self._call():
            values = await self._client.hmget(self._key(keys.RECEIVED_ALERTS), fingerprints)
        return {each: value for each, value in zip(fingerprints, values, strict=True) if value is not None}

    async def put_received_alerts(self, alerts: Mapping[str, bytes]) -> None:
        if alerts:
            async with self._call():
                await self._client.hset(self._key(keys.RECEIVED_ALERTS), mapping=dict(alerts))

    async def remove_received_alerts(self, fingerprints: Sequence[str]) -> None:
        if fingerprints:
            async with self._call():
                await self._client.hdel(self._key(keys.RECEIVED_ALERTS), *fingerprints)

    async def received_alert_count(self) -> int:
        async with self._call():
            return int(await self._client.hlen(self._key(keys.RECEIVED_ALERTS)))

    async def all_received_alerts(self) -> list[str]:
        """Returns the fingerprints of all open alerts of other systems."""
        async with self._call():
            return [text(each) for each in await self._client.hkeys(self._key(keys.RECEIVED_ALERTS))]

    async def note_watched_engines(self, engines: Collection[str], at: float, ttl: float) -> None:
        """Records that these engines are watched at this time, in seconds since the epoch. What is older than `ttl`
        seconds is removed."""
        key = self._key(keys.WATCHED_ENGINES)
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            if engines:
                pipe.zadd(key, {engine: int(at * 1000) for engine in engines}, gt=True)
            pipe.zremrangebyscore(key, "-inf", int((at - ttl) * 1000))
            await pipe.execute()

    async def watched_engines(self, since: float) -> frozenset[str]:
        """Returns the engines that any process has watched since this time, in seconds since the epoch."""
        async with self._call():
            found = await self._client.zrangebyscore(self._key(keys.WATCHED_ENGINES), int(since * 1000), "+inf")
        return frozenset(map(text, found))

    async def watched_until_now(self, ttl: float) -> float:
        """Records that somebody watches now. Returns how many seconds ago that was recorded last, by any process; 0 if
        never. The record expires after `ttl` seconds. If several processes call it after a gap, one gets the gap."""
        passed = await self._run("watched", names=(keys.WATCHED_AT,), args=(int(ttl * 1000),))
        return max(0, int(passed)) / 1000
