"""Stores which messages are being posted and which were posted, so that each is posted once, whichever process
continues.

A message has a name that its author chooses. A record is written before the message is posted, and completed with the
place of the message afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.store import keys
from core.store.connection import StoreConnection, milliseconds


class PostStore(StoreConnection):
    """Stores records of messages. Values are the caller's bytes. Methods raise errors.StoreDown or StoreError."""

    async def begin_post(self, name: str, value: bytes, ttl: float) -> bytes | None:
        """Stores the record of a message that is about to be posted. If there is one, returns it and changes
        nothing."""
        async with self._call():
            if await self._client.set(self._key(keys.post(name)), value, nx=True, px=milliseconds(ttl)):
                return None
            stored: bytes | None = await self._client.get(self._key(keys.post(name)))
        return stored

    async def begin_posts(self, names: Sequence[str], value: bytes, ttl: float) -> dict[str, bytes]:
        """Stores the same record for each of these names that has none. Returns the record of each."""
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            for name in names:
                pipe.set(self._key(keys.post(name)), value, nx=True, px=milliseconds(ttl))
                pipe.get(self._key(keys.post(name)))
            stored = (await pipe.execute())[1::2]
        return dict(zip(names, stored, strict=True))

    async def post_record(self, name: str) -> bytes | None:
        async with self._call():
            stored: bytes | None = await self._client.get(self._key(keys.post(name)))
        return stored

    async def finish_post(self, name: str, value: bytes, ttl: float) -> None:
        """Replaces the record."""
        async with self._call():
            await self._client.set(self._key(keys.post(name)), value, px=milliseconds(ttl))

    async def forget_post(self, name: str) -> None:
        async with self._call():
            await self._client.delete(self._key(keys.post(name)))
