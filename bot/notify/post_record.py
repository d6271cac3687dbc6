"""Records in the store which messages are being posted and where messages were posted, so that each is posted once.

A message has a name, such as an incident's id and the content of the message. It also has a token: a mark that it
carries in the chat. Before the message is posted, its token is stored; afterwards its channel and id. If a process
finds the channel and id, it does not post. If it finds only a token, the poster searches the chat for a message with
this token. A running process may be posting at that moment, so another one waits for some seconds.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

import msgspec

from core import errors
from core.store.posts import PostStore

MAX_NAME = 200  # characters
TTL_SECONDS = 2 * 86_400.0
OTHERS_POST_SECONDS = 20.0  # for which the post of another process may still be on its way


class BegunPost(msgspec.Struct, frozen=True):
    """One message. `token`: its mark in the chat. `at`: when it was first tried, in seconds since the epoch. `channel`,
    `ts`: where it is; empty while that is not known. `tried`: it was tried before."""

    token: str
    at: float
    channel: str = ""
    ts: str = ""
    tried: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(BegunPost).decode


class PostRecord:
    """Records messages. `now`: seconds since the epoch."""

    def __init__(self, store: PostStore, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._own: set[str] = set()  # tokens of the posts that this process has begun and not ended

    async def begin(self, name: str) -> BegunPost:
        """Records that a message is about to be posted. If the result has a `ts`, it is there already. Raises
        StoreError, and Undeliverable if another process may be posting it at this moment."""
        name = _short(name)
        begun = BegunPost(token=secrets.token_hex(8), at=self._now())
        stored = await self._store.begin_post(name, _encode(begun), TTL_SECONDS)
        known = None if stored is None else _read(stored)
        if stored is not None and known is None:
            await self._store.finish_post(name, _encode(begun), TTL_SECONDS)
        if known is not None:
            if known.ts:
                return known
            if known.token not in self._own and self._now() - known.at < OTHERS_POST_SECONDS:
                raise errors.Undeliverable(
                    "This message was not posted, because another process may be posting it now.",
                    code="pending",
                    hint="If the message does not appear in the channel within a minute, check the logs of all"
                    " replicas.",
                    maybe_sent=True,
                )
            begun = msgspec.structs.replace(known, tried=True)
        self._own.add(begun.token)
        return begun

    async def posted(self, name: str, begun: BegunPost, channel: str, ts: str) -> None:
        """Records where the message is. Raises StoreError."""
        name = _short(name)
        done = BegunPost(token=begun.token, at=begun.at, channel=channel, ts=ts)
        await self._store.finish_post(name, _encode(done), TTL_SECONDS)
        self._own.discard(begun.token)

    async def refused(self, name: str, begun: BegunPost) -> None:
        """Records that the message certainly is not there. Raises StoreError."""
        await self._store.forget_post(_short(name))
        self._own.discard(begun.token)


def _short(name: str) -> str:
    """Returns a name of limited length; a group may have many incidents."""
    return name if len(name) <= MAX_NAME else hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _read(value: bytes) -> BegunPost | None:
    """Decodes a record; None for one that another version wrote and this one cannot read."""
    try:
        return _decode(value)
    except (msgspec.DecodeError, ValueError):
        return None
