"""Tells people about incidents: posts a message for each, edits it when the incident changes, and writes in its thread.

The store holds which incidents changed and what people were told, so nothing is lost when this process ends: the next
one goes on. Only one process posts; it holds a lease. A message whose answer was lost is posted again. If a channel
cannot be reached, its incidents wait, and only the newest state of each is posted. The same is true while an incident
is silenced.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from bot.notify import incident_message
from bot.notify.incident_updater import MAX_CONFLICTS, decode_incident
from bot.notify.shared_messages import MessageSharing
from bot.notify.silences import silences_in_force
from core import errors, metrics
from core.model.incidents import Incident, IncidentState, PostedIncident
from core.model.replies import Reply
from core.repeated_log import RepeatedLog
from core.store.incidents import IncidentStore

log = structlog.get_logger(__name__)
POLL_SECONDS = 1.0  # for changes by other processes
MAX_AT_ONCE = 2000
RETRY_SECONDS = 5.0  # until a channel is tried again
SHARED_EDIT_SECONDS = 4.0  # between two edits of a message that several incidents share
OLD_NS = 3600 * 1_000_000_000  # an incident that was over before this, and was never posted, is not posted any more
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,}")
_encode = msgspec.json.Encoder().encode


class MessageSender(Protocol):
    """Sends messages to a chat. Methods raise errors.DeliveryError."""

    async def post(self, channel: str, reply: Reply, thread: str = "") -> str:
        """Returns the id of the message."""
        ...

    async def edit(self, channel: str, ts: str, reply: Reply) -> None: ...


class IncidentReporter:
    """Tells people about incidents while `run` runs. `channel`: where incidents are posted; empty for nowhere, but for
    those whose container names a channel. `changed` is set when an incident was stored. `leads`: whether this process
    holds the lease."""

    def __init__(
        self,
        store: IncidentStore,
        poster: MessageSender,
        counts: metrics.Metrics,
        *,
        channel: str,
        changed: asyncio.Event,
        leads: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._poster = poster
        self._counts = counts
        self._channel = channel
        self._changed = changed
        self._leads = leads
        self._now = now
        self._now_ns = now_ns
        self._windows: dict[str, MessageSharing] = {}
        self._retry_at: dict[str, float] = {}
        self._shared_edits: dict[str, float] = {}
        self._store_down = RepeatedLog()
        self._undelivered = RepeatedLog()

    async def run(self) -> None:
        """Tells people until it is cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            if not self._leads():
                continue
            try:
                await self.flush()
                self._store_down.ended()
            except errors.StoreError as error:
                if times := self._store_down.due(error.message):
                    log.warning("incidents wait for the store", reason=error.message, times=times)

    async def flush(self) -> None:
        """Tells people what changed, as far as each channel is ready for it. Raises StoreError."""
        stored = await self._store.incidents_of(await self._store.changed_incidents(MAX_AT_ONCE))
        self._counts.incidents_waiting.set(len(stored))
        silences = await silences_in_force(self._store, self._now_ns() / 1e9) if stored else ()
        by_channel: dict[str, list[tuple[bytes, Incident]]] = {}
        for key, raw in stored.items():
            incident = decode_incident(raw)
            if incident is None:
                await self._store.remove_incidents([key])
            elif any(silence.matches(incident, self._now_ns() / 1e9) for silence in silences):
                continue  # it stays marked, and its newest state is posted when the silence is over
            elif channel := self._channel_of(incident):
                by_channel.setdefault(channel, []).append((raw, incident))
            else:
                await self._store.incident_told(key, raw, raw)
        for channel in sorted({*by_channel, *self._windows}):
            if self._now() < self._retry_at.get(channel, 0.0):
                continue
            try:
                await self._flush_channel(channel, by_channel.get(channel, []))
                self._undelivered.ended()
            except errors.DeliveryError as error:
                self._retry_at[channel] = self._now() + RETRY_SECONDS
                if times := self._undelivered.due(error.message):
                    log.error("an incident was not posted", channel=channel, reason=error.full_message(), times=times)

    async def _flush_channel(self, channel: str, changed: Sequence[tuple[bytes, Incident]]) -> None:
        window = self._windows.setdefault(channel, MessageSharing())
        raws = {incident.key: raw for raw, incident in changed}
        new = [incident for _, incident in changed if incident.posted is None]
        for incident in window.due(new, self._now()):
            await self._post(channel, raws[incident.key], incident)
        if (
            window.storm is not None
            and any(each.key in window.storm.keys for each in new)
            and window.storm_due(self._now())
        ):
            await self._edit_shared(channel, window.storm.ts, window.storm.keys)
            window.storm_edited(self._now())
        shared: dict[str, set[str]] = {}
        for raw, incident in changed:
            if incident.posted is None:
                continue
            if incident.posted.shared:
                shared.setdefault(incident.posted.ts, set()).add(incident.key)
            else:
                await self._edit(raw, incident, incident.posted)
        for ts, keys in shared.items():
            if self._now() >= self._shared_edits.get(ts, 0.0):
                await self._edit_shared(channel, ts, keys)
        if not changed and window.idle(self._now()):
            del self._windows[channel]

    async def _post(self, channel: str, raw: bytes, incident: Incident) -> None:
        if incident.state is IncidentState.RESOLVED and self._now_ns() - incident.changed_ns > OLD_NS:
            await self._store.incident_told(incident.key, raw, raw)
            return
        ts = await self._poster.post(channel, incident_message.incident_reply(incident))
        self._counts.incident_messages_total.labels("posted").inc()
        self._windows[channel].posted(ts, incident.key, self._now())
        posted = PostedIncident(channel=channel, ts=ts, version=incident.version, told=incident.turns)
        await self._save(raw, incident, posted)
        await self._poster.post(channel, incident_message.crash_card(incident), ts)

    async def _edit(self, raw: bytes, incident: Incident, posted: PostedIncident) -> None:
        if posted.version < incident.version:
            await self._poster.edit(posted.channel, posted.ts, incident_message.incident_reply(incident))
            self._counts.incident_messages_total.labels("edited").inc()
        if posted.told < incident.turns:
            await self._poster.post(posted.channel, incident_message.thread_entry(incident), posted.ts)
        told = msgspec.structs.replace(posted, version=incident.version, told=incident.turns)
        await self._save(raw, incident, told)

    async def _edit_shared(self, channel: str, ts: str, keys: set[str]) -> None:
        """Edits a message that several incidents share: those with these keys, and those that it shows already."""
        found: dict[str, tuple[bytes, Incident]] = {}
        for key, raw in (await self._store.incidents()).items():
            incident = decode_incident(raw)
            if incident is None:
                continue
            posted = incident.posted
            if key in keys or (posted is not None and (posted.channel, posted.ts) == (channel, ts)):
                found[key] = (raw, incident)
        incidents = [incident for _, incident in found.values()]
        await self._poster.edit(channel, ts, incident_message.storm_reply(incidents))
        self._counts.incident_messages_total.labels("edited").inc()
        self._shared_edits = {known: at for known, at in self._shared_edits.items() if at > self._now()}
        self._shared_edits[ts] = self._now() + SHARED_EDIT_SECONDS
        for raw, incident in found.values():
            posted = PostedIncident(channel=channel, ts=ts, version=incident.version, told=incident.turns, shared=True)
            if posted != incident.posted or incident.key in keys:
                await self._save(raw, incident, posted)

    async def _save(self, raw: bytes, incident: Incident, posted: PostedIncident) -> None:
        """Records what people were told. If the incident has changed meanwhile, only that is recorded, and it stays
        marked as changed."""
        told = msgspec.structs.replace(incident, posted=posted)
        if await self._store.incident_told(incident.key, raw, _encode(told)):
            return
        for _ in range(MAX_CONFLICTS):
            newer = await self._store.incident(incident.key)
            decoded = None if newer is None else decode_incident(newer)
            if newer is None or decoded is None or decoded.id != incident.id:
                return
            if await self._store.change_incident(
                incident.key, newer, _encode(msgspec.structs.replace(decoded, posted=posted))
            ):
                return

    def _channel_of(self, incident: Incident) -> str:
        """Returns where an incident is posted: where it was, where its container says, or where the configuration
        says."""
        if incident.posted is not None:
            return incident.posted.channel
        wanted = incident.main.channel
        return wanted if _CHANNEL.fullmatch(wanted) else self._channel
