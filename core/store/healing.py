"""Stores what self-healing has done: one record for each healing policy, which one process at a time replaces."""

from __future__ import annotations

from core.store import keys
from core.store.connection import StoreConnection


class HealingStore(StoreConnection):
    """Reads and replaces records. Values are the caller's bytes. Methods raise errors.StoreDown or StoreError."""

    async def healing_record(self, policy: str) -> bytes | None:
        async with self._call():
            value: bytes | None = await self._client.hget(self._key(keys.HEALING), policy)
        return value

    async def change_healing(self, policy: str, before: bytes | None, value: bytes) -> bool:
        """Stores a record, if the stored one is still `before`. Returns False if another process was faster."""
        return bool(await self._run("healing", names=(keys.HEALING,), args=(policy, before or b"", value)))
