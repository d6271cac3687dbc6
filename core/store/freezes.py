"""Stores the freeze of all changes. There is one for all processes. It expires by the clock of the store's server."""

from __future__ import annotations

from core.store import keys
from core.store.connection import StoreConnection, milliseconds


class FreezeStore(StoreConnection):
    """Reads, sets and lifts the freeze. Records are the caller's bytes. Methods raise errors.StoreDown or
    StoreError."""

    async def freeze(self) -> bytes | None:
        """Returns the record of the freeze that is in force; None without one."""
        async with self._call():
            record: bytes | None = await self._client.hget(self._key(keys.FREEZE), "record")
        return record

    async def freeze_and_announced(self) -> tuple[bytes, bytes]:
        """Returns the record of the freeze that is in force and of the one that was announced last; each empty without
        one."""
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            pipe.hget(self._key(keys.FREEZE), "record").get(self._key(keys.FREEZE_ANNOUNCED))
            now, announced = await pipe.execute()
        return now or b"", announced or b""

    async def set_announced_freeze(self, record: bytes) -> None:
        """Records which freeze was announced; empty: the end of the last one."""
        async with self._call():
            if record:
                await self._client.set(self._key(keys.FREEZE_ANNOUNCED), record)
            else:
                await self._client.delete(self._key(keys.FREEZE_ANNOUNCED))

    async def set_freeze(self, who: str, record: bytes, seconds: float) -> tuple[bool, bytes]:
        """Freezes for `seconds` (0: without an end), also in place of an earlier freeze of `who`. Returns whether it
        did, and the record that is now in force: somebody else's if it did not."""
        ttl = milliseconds(seconds) if seconds else 0
        done, found = await self._run("freeze", names=(keys.FREEZE,), args=("set", who, record, ttl))
        return bool(done), found

    async def lift_freeze(self, who: str = "") -> tuple[bool, bytes]:
        """Lifts the freeze of `who`; without `who`, of anybody. Returns whether it did, and the record: the one that it
        lifted or somebody else's; empty if there is no freeze."""
        done, found = await self._run("freeze", names=(keys.FREEZE,), args=("lift", who))
        return bool(done), found
