"""Stores incidents and silences. Each incident is stored under its key. The keys of the incidents that changed since
their last message are stored too, and which incidents each message is about.

Several processes may change an incident. So a change names the value that it replaces, and is refused if another
process was faster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from core.lazy_dataclass import dataclass
from core.store import keys
from core.store.connection import text
from core.store.posts import PostStore

SCAN_COUNT = 200
MAX_INCIDENT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class MessageId:
    """A message of a chat. `channel`: the id of its channel; `ts`: its id in it."""

    channel: str
    ts: str

    def entry(self, key: str) -> str:
        """Returns the entry of the store's index that says that this message is about an incident."""
        return f"{self.channel} {self.ts} {key}"


class IncidentStore(PostStore):
    """Reads and changes incidents, and the records of the messages about them. Values are the caller's bytes. Methods
    raise errors.StoreDown or StoreError."""

    async def incident(self, key: str) -> bytes | None:
        async with self._call():
            value: bytes | None = await self._client.hget(self._key(keys.INCIDENTS), key)
        return value

    async def incidents_of(self, wanted: Sequence[str]) -> dict[str, bytes]:
        """Returns the stored incidents with these keys."""
        if not wanted:
            return {}
        async with self._call():
            values = await self._client.hmget(self._key(keys.INCIDENTS), wanted)
        return {key: value for key, value in zip(wanted, values, strict=True) if value is not None}

    async def each_incident(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yields every stored incident once, with its key. Only SCAN_COUNT or a few more are in memory at a time. What
        is stored or removed meanwhile may be left out."""
        seen: set[str] = set()  # the server may return an incident again while others are stored
        cursor = 0
        while True:
            async with self._call():
                cursor, part = await self._client.hscan(self._key(keys.INCIDENTS), cursor, count=SCAN_COUNT)
            for raw_key, value in part.items():
                if (key := text(raw_key)) not in seen:
                    seen.add(key)
                    yield key, value
            if cursor == 0:
                return

    async def incidents_in(self, message: MessageId) -> AsyncIterator[tuple[str, bytes]]:
        """Yields the stored incidents that a message is or was about, with their keys. Only SCAN_COUNT are in memory at
        a time."""
        start, end = f"[{message.entry('')}", f"({message.channel} {message.ts}!"  # `!` follows the space
        while True:
            async with self._call():
                found = await self._client.zrangebylex(
                    self._key(keys.INCIDENT_MESSAGES), start, end, start=0, num=SCAN_COUNT
                )
            entries = [text(each) for each in found]
            for item in (await self.incidents_of([each.rpartition(" ")[2] for each in entries])).items():
                yield item
            if len(entries) < SCAN_COUNT:
                return
            start = f"({entries[-1]}"

    async def index_messages(self, entries: Sequence[str]) -> None:
        """Adds entries to the index of messages (MessageId.entry)."""
        if entries:
            async with self._call():
                await self._client.zadd(self._key(keys.INCIDENT_MESSAGES), dict.fromkeys(entries, 0))

    async def indexed_messages(self) -> AsyncIterator[Sequence[tuple[MessageId, str]]]:
        """Yields the entries of the index, some at a time: each message with the key of an incident. An entry may come
        twice."""
        cursor = 0
        while True:
            async with self._call():
                cursor, part = await self._client.zscan(self._key(keys.INCIDENT_MESSAGES), cursor, count=SCAN_COUNT)
            split = [text(entry).rsplit(" ", 2) for entry, _ in part]
            yield [(MessageId(channel, ts), key) for channel, ts, key in split]
            if cursor == 0:
                return

    async def remove_messages(self, entries: Iterable[str]) -> None:
        """Removes entries from the index of messages."""
        if removed := list(entries):
            async with self._call():
                await self._client.zrem(self._key(keys.INCIDENT_MESSAGES), *removed)

    async def change_incident(
        self, key: str, before: bytes | None, value: bytes, message: MessageId | None = None
    ) -> bool:
        """Stores an incident that people must be told about, if the stored one is still `before`. Returns False if
        another process was faster. `message`: one that is about it, for the index of messages."""
        return await self._put_incident(key, before, value, "changed", message)

    async def incident_told(self, key: str, before: bytes, value: bytes, message: MessageId | None = None) -> bool:
        """Stores an incident that people were told about, if the stored one is still `before`, and removes it from the
        changed ones. Returns False if it has changed again meanwhile. `message`: as for `change_incident`."""
        return await self._put_incident(key, before, value, "told", message)

    async def keep_incident(self, key: str, before: bytes, value: bytes, message: MessageId | None = None) -> bool:
        """Stores an incident, if the stored one is still `before`, and leaves it among the changed ones if it is.
        Returns False if another process was faster. `message`: as for `change_incident`."""
        return await self._put_incident(key, before, value, "kept", message)

    async def mark_incident(self, key: str, value: bytes) -> bool:
        """Marks an incident that is stored as `value` as changed, because its messages must change and the incident
        itself does not. Returns False if it has changed meanwhile, which marks it too."""
        return await self._put_incident(key, value, value, "marked")

    async def _put_incident(
        self, key: str, before: bytes | None, value: bytes, mark: str, message: MessageId | None = None
    ) -> bool:
        args = (key, before or b"", value, mark, "" if message is None else message.entry(key))
        names = (
            keys.INCIDENTS,
            keys.INCIDENTS_CHANGED,
            keys.INCIDENT_LOG,
            keys.INCIDENT_LAST,
            keys.INCIDENT_MESSAGES,
        )
        return bool(await self._run("incident", names=names, args=args))

    async def changed_incidents(self, limit: int) -> Sequence[str]:
        """Returns the keys of incidents that people must still be told about, the oldest change first."""
        return list(await self.changed_incident_times(limit))

    async def changed_incidents_state(self) -> tuple[int, float, float]:
        """Returns how many incidents people must still be told about, and the times of the newest and of the oldest
        change in ms."""
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            pipe.zcard(self._key(keys.INCIDENTS_CHANGED))
            pipe.zrange(self._key(keys.INCIDENTS_CHANGED), -1, -1, withscores=True)
            pipe.zrange(self._key(keys.INCIDENTS_CHANGED), 0, 0, withscores=True)
            count, newest, oldest = await pipe.execute()
        return int(count), float(newest[0][1]) if newest else 0.0, float(oldest[0][1]) if oldest else 0.0

    async def changed_incident_times(self, limit: int, start: int = 0) -> dict[str, float]:
        """Returns those incidents by key, each with the time of its newest change in ms, the oldest change first.
        `start`: so many are left out."""
        async with self._call():
            found = await self._client.zrange(
                self._key(keys.INCIDENTS_CHANGED), start, start + limit - 1, withscores=True
            )
        return {text(key): float(at) for key, at in found}

    async def incidents_changed_after(self, position: int, limit: int) -> tuple[int, dict[str, int]]:
        """Returns the position of the newest change of all, and the keys of at most `limit` incidents that changed
        after `position`, each with the position of its newest change, the oldest change first. A position is the time
        of a change in microseconds since the epoch."""
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            pipe.get(self._key(keys.INCIDENT_LAST))
            pipe.zrangebyscore(
                self._key(keys.INCIDENT_LOG), f"({position}", "+inf", start=0, num=limit, withscores=True
            )
            last, found = await pipe.execute()
        return int(last or 0), {text(key): int(at) for key, at in found}

    async def silences(self) -> dict[str, bytes]:
        """Returns every stored silence by id."""
        async with self._call():
            found = await self._client.hgetall(self._key(keys.SILENCES))
        return {text(each): value for each, value in found.items()}

    async def put_silence(self, id: str, value: bytes) -> None:  # noqa: A002
        async with self._call():
            await self._client.hset(self._key(keys.SILENCES), id, value)

    async def remove_silences(self, ids: Sequence[str]) -> int:
        """Returns how many of them were stored."""
        if not ids:
            return 0
        async with self._call():
            return int(await self._client.hdel(self._key(keys.SILENCES), *ids))

    async def remove_incidents(self, removed: Sequence[str]) -> None:
        if removed:
            async with self._call(), self._client.pipeline(transaction=True) as pipe:
                pipe.hdel(self._key(keys.INCIDENTS), *removed)
                pipe.zrem(self._key(keys.INCIDENTS_CHANGED), *removed)
                pipe.zrem(self._key(keys.INCIDENT_LOG), *removed)
                await pipe.execute()
