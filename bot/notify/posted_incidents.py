"""Records in the store where the messages about incidents are. Finds the message to which a new incident of a group is
added.

The store has an index of the incidents of each message. Each record adds to it. An entry may be out of date, because
the incident was removed, began again, or has another message. Then `remove_old_entries` removes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field

import msgspec

from bot.notify.incident_writer import MAX_CONFLICTS, decode_incident
from bot.notify.message_sender import SentMessage
from core import supervise
from core.lazy_dataclass import dataclass
from core.model.incidents import Incident, IncidentState, PostedIncident, with_post
from core.store.incidents import IncidentStore, MessageId

INDEXED_AT_ONCE = 500
_encode = msgspec.json.Encoder().encode
_Save = Callable[[str, bytes, bytes, MessageId], Awaitable[bool]]


@dataclass(slots=True, kw_only=True)
class PendingIncident:
    """A changed incident that still has to be posted. `raw`: as it is stored. `left`: the places where it still has
    to be posted or edited. `waits_until`: until when another place waits, in seconds since the epoch; 0 if none
    does. `known`: False if it was read only because another incident shares its message; then it may have changed in
    ways that nobody looked at. `held`: what its message must say about what holds it back, such as a snooze; empty if
    nothing does. `postponed`: the places where it waits for the next edit of a shared message. `saving`: several
    channels may save their message at the same time."""

    raw: bytes
    incident: Incident
    left: set[str] = field(default_factory=set)
    waits_until: float = 0.0
    known: bool = True
    held: str = ""
    postponed: set[str] = field(default_factory=set)
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_told(self) -> bool:
        return self.known and not self.left and not self.waits_until


def place_of(incident: Incident, to: str, channel: str) -> str:
    """Returns `PostedIncident.to` of a message in this channel: the same as of the message that it replaces."""
    before = incident.post_at(to)
    return before.to if before is not None else "" if to == channel else to


async def mark_gone(store: IncidentStore, pending: PendingIncident, post: PostedIncident) -> None:
    """Records that a message about an incident was deleted. If there is news, that gets a new message. Raises
    StoreError."""
    async with pending.saving:
        await _keep(store, pending, msgspec.structs.replace(post, gone=True), store.keep_incident)


async def save_post(store: IncidentStore, pending: PendingIncident, post: PostedIncident) -> None:
    """Records one message about an incident. When nothing is left to say, the incident does not count as changed any
    more. If it has changed meanwhile, only the message is recorded. Raises StoreError."""
    async with pending.saving:
        await _save_post(store, pending, post)


async def _save_post(store: IncidentStore, pending: PendingIncident, post: PostedIncident) -> None:
    pending.left.discard(post.destination)
    pending.left.discard(post.channel)
    await _keep(store, pending, post, store.incident_told if pending.is_told else store.keep_incident)


async def _keep(store: IncidentStore, pending: PendingIncident, post: PostedIncident, save: _Save) -> None:
    incident, message = with_post(pending.incident, post), message_of(post)
    value = _encode(incident)
    if await save(incident.key, pending.raw, value, message):
        pending.raw, pending.incident = value, incident
        return
    for _ in range(MAX_CONFLICTS):
        newer = await store.incident(incident.key)
        decoded = None if newer is None else decode_incident(newer)
        if newer is None or decoded is None or decoded.id != incident.id:
            return
        merged = with_post(decoded, post)
        value = _encode(merged)
        if await store.change_incident(incident.key, newer, value, message):
            pending.raw, pending.incident = value, merged
            return


def message_of(post: PostedIncident) -> MessageId:
    """Returns the message of a record."""
    return MessageId(post.channel, post.ts)


async def remove_old_entries(store: IncidentStore) -> int:
    """Removes the entries of the index that are out of date. Returns how many. Raises StoreError."""
    removed = 0
    async for part in supervise.in_turns(store.indexed_messages()):
        stored = await store.incidents_of([key for _, key in part])
        old = [message.entry(key) for message, key in part if not _is_about(message, stored.get(key))]
        await store.remove_messages(old)
        removed += len(old)
    return removed


def _is_about(message: MessageId, raw: bytes | None) -> bool:
    """Whether a stored incident is in this message. `raw`: None if it is not stored any more."""
    incident = None if raw is None else decode_incident(raw)
    return incident is not None and any(message_of(post) == message and not post.gone for post in incident.posts)


class OpenMessages:
    """Knows the open message of each group. All are read from the store once, and again after `forget`."""

    def __init__(self, store: IncidentStore) -> None:
        self._store = store
        self._messages: dict[tuple[str, str], tuple[str, str]] | None = None

    async def load(self, since: float) -> Sequence[tuple[Incident, PostedIncident]]:
        """Reads the messages from the store, if that is needed, and completes the index, to which another version may
        not have added its messages. Returns the incidents that people were told of since then, in seconds since the
        epoch, with their messages; nothing if nothing had to be read. Raises StoreError."""
        if self._messages is not None:
            return ()
        found: dict[tuple[str, str], tuple[str, str]] = {}
        recent: list[tuple[Incident, PostedIncident]] = []
        entries: list[str] = []
        async for _, raw in supervise.in_turns(self._store.each_incident()):
            if (incident := decode_incident(raw)) is None:
                continue
            posts = [post for post in incident.posts if not post.gone]
            recent += [(incident, post) for post in posts if post.reminded_at >= since]
            entries += [message_of(post).entry(incident.key) for post in posts]
            if len(entries) >= INDEXED_AT_ONCE:
                await self._store.index_messages(entries)
                entries = []
            if incident.state is not IncidentState.RESOLVED:
                open_ones = [post for post in posts if post.group]
                found |= {(post.destination, post.group): (post.channel, post.ts) for post in open_ones}
        await self._store.index_messages(entries)
        self._messages = found
        return sorted(recent, key=lambda each: each[1].reminded_at)

    def forget(self) -> None:
        """Forgets everything, because another process posts now."""
        self._messages = None

    def find(self, destination: str, group: str) -> tuple[str, str] | None:
        """Returns the channel and the ts of a group's open message."""
        return (self._messages or {}).get((destination, group)) if group else None

    def add(self, destination: str, group: str, sent: SentMessage) -> None:
        if self._messages is not None:
            self._messages[destination, group] = (sent.channel, sent.ts)

    def remove(self, channel: str, ts: str) -> None:
        """Closes a message: all of its incidents are over, or it was deleted."""
        if self._messages is not None:
            self._messages = {key: place for key, place in self._messages.items() if place != (channel, ts)}
