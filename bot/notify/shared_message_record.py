"""Records in the store which incidents a shared message, or an entry of its thread, lists. A later attempt to post it
then lists the same incidents.

A summary of quiet hours and an entry of a group name several incidents. If the store fails or the process dies before
all of them are recorded, the next attempt reads here which ones were posted already.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from core.store.posts import PostStore

TTL_SECONDS = 2 * 86_400.0  # like that of posts
AT_ONCE = 500  # turns
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, int]).decode


class SharedMessageRecord:
    """Reads and writes these records. Methods raise StoreError."""

    def __init__(self, store: PostStore) -> None:
        self._store = store

    async def members(self, message: str) -> Mapping[str, int]:
        """Returns the incidents that the first try of a message named, by key with the number of their turn; nothing if
        it was never tried. `message`: the message's name."""
        stored = await self._store.post_record(_members(message))
        return {} if stored is None else _turns(stored)

    async def begin(self, message: str, turns: Mapping[str, int]) -> Mapping[str, int]:
        """Records which incidents a message is about to name. Returns those that an earlier try named, and then changes
        nothing."""
        stored = await self._store.begin_post(_members(message), _encode(turns), TTL_SECONDS)
        return {} if stored is None else _turns(stored)

    async def replace(self, message: str, turns: Mapping[str, int]) -> None:
        """Records which incidents a message named that is there now, because that of an earlier try is not."""
        await self._store.finish_post(_members(message), _encode(turns), TTL_SECONDS)

    async def entries(self, turns: Sequence[str]) -> Mapping[str, str]:
        """Returns, for the name of each turn of an incident, the name of the entry that says it: that of an earlier
        try, or that of one new entry for all the others."""
        entry = f"entry {secrets.token_hex(8)}"
        found: dict[str, str] = {}
        for start in range(0, len(turns), AT_ONCE):
            part = {f"{turn} in": turn for turn in turns[start : start + AT_ONCE]}
            stored = await self._store.begin_posts(tuple(part), entry.encode(), TTL_SECONDS)
            found |= {part[name]: value.decode("utf-8", "replace") for name, value in stored.items()}
        return found


def _members(message: str) -> str:
    return f"{message} of"


def _turns(value: bytes) -> Mapping[str, int]:
    """Decodes a record; nothing for one that another version wrote and this one cannot read."""
    try:
        return _decode(value)
    except (msgspec.DecodeError, ValueError):
        return {}
