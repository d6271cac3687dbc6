"""Posts reminders of incidents that are still open: at the end of a snooze, and at the repeat interval of a route.

A reminder is an entry of the incident's thread that is also shown in the channel. If somebody takes care of the
incident, it is not repeated. There are no reminders in quiet hours, for silenced incidents, and during maintenance.
Each channel has its own task, so a channel that does not answer delays no other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import msgspec
import structlog

from bot.notify import incident_message
from bot.notify.alert_settings import AlertSettings
from bot.notify.channel_tasks import ChannelTasks, all_at_once
from bot.notify.incident_writer import decode_incident, each_incident, stored_incidents
from bot.notify.message_sender import MessageSender, message_name
from bot.notify.posted_incidents import PendingIncident, save_post
from bot.notify.shared_message_record import SharedMessageRecord
from bot.notify.silence_index import SilenceIndex
from bot.notify.silences import KEEP_SECONDS
from core import errors, metrics, supervise
from core.lazy_dataclass import dataclass
from core.model.alert_routes import Destination, Routing
from core.model.incidents import Incident, IncidentState, PostedIncident
from core.model.replies import Reply
from core.model.silences import Silence
from core.store.alert_settings import AlertSettingsStore

log = structlog.get_logger(__name__)
LOOK_SECONDS = 30.0  # between two looks at all incidents


@dataclass(slots=True, kw_only=True)
class _Due:
    """One message of which people must be reminded."""

    destination: Destination
    post: PostedIncident
    members: list[PendingIncident] = field(default_factory=list)


class Reminders:
    """Sends reminders. Times are seconds since the epoch."""

    def __init__(
        self, store: AlertSettingsStore, poster: MessageSender, counts: metrics.Metrics, tasks: ChannelTasks
    ) -> None:
        self._store = store
        self._poster = poster
        self._counts = counts
        self._tasks = tasks
        self._record = SharedMessageRecord(store)
        self._next_look = 0.0
        self._try_again: dict[str, float] = {}  # when a snooze that is over is looked at again, by its id

    async def send_due(self, settings: AlertSettings, routing: Routing, now: float) -> None:
        """Starts the tasks that end snoozes and silences whose time has come, and that repeat what is due. Raises
        StoreError."""
        over = {silence.id for silence in settings.expired}
        self._try_again = {id_: at for id_, at in self._try_again.items() if id_ in over}
        due = [each for each in settings.expired if now >= self._try_again.get(each.id, 0.0)]
        due = [silence for silence in due if f"silence {silence.id}" not in self._tasks.busy]
        snoozed = await self._snoozed(due, now)
        for silence in due:
            incident = snoozed.get(silence.owner)
            self._tasks.start(f"silence {silence.id}", self._expire(silence, incident, settings, routing, now))
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        if any(silence.until_resolved for silence in settings.silences):
            await self._end_resolved(settings.silences)
        if routing.repeats:
            await self._repeat(settings, routing, now)

    async def _snoozed(self, due: Sequence[Silence], now: float) -> dict[str, Incident]:
        """Returns the open incidents whose snooze is over, by id: all of them in one reading."""
        owners = {each.owner for each in due if each.reminds and now - each.until < KEEP_SECONDS}
        if not owners:
            return {}
        stored = await stored_incidents(self._store, lambda each: each.id in owners)
        return {each.id: each for each in stored if each.state is not IncidentState.RESOLVED}

    async def _expire(
        self, silence: Silence, snoozed: Incident | None, settings: AlertSettings, routing: Routing, now: float
    ) -> None:
        """Removes a silence. A snooze is removed when everybody was reminded, or when it is over for long. `snoozed`:
        the open incident of a snooze."""
        said = True
        if snoozed is not None and silence.reminds and now - silence.until < KEEP_SECONDS:
            said = await self._wake(snoozed, silence, settings, routing, now)
        if said:
            await self._store.remove_silences([silence.id])
        else:
            self._try_again[silence.id] = now + LOOK_SECONDS

    async def _wake(
        self, incident: Incident, silence: Silence, settings: AlertSettings, routing: Routing, now: float
    ) -> bool:
        """Reminds people of an incident, in all places at once, unless something else holds it back. Returns whether
        all places have it. In quiet hours, only the thread says it."""
        if settings.held_until(incident, now):
            return False
        found = []
        places = {each.to: each for each in routing.destinations(incident)}
        since = f"after the snooze of {silence.by_name or silence.by}"
        for post in incident.posts:
            place = places.get(post.destination, Destination(to=post.destination))
            if _is_muted(place, settings, now):
                continue
            quiet = _is_quiet(place, now)
            mention = () if quiet else tuple(who for who in place.mention if not settings.muted_until(who, now))
            reply = incident_message.reminder([incident], since, mention)
            once = f"{post.channel}.{post.ts}.snooze {silence.id}"
            found.append(self._say(post, reply, broadcast=not quiet, once=once))
        return all(await all_at_once(found))

    async def _end_resolved(self, silences: Sequence[Silence]) -> None:
        index = SilenceIndex([silence for silence in silences if silence.until_resolved], (), {})
        matching = set[str]()
        async for incident in each_incident(self._store):
            if incident.state is not IncidentState.RESOLVED:
                matching.update(silence.id for silence in index.silences_of(incident, 0.0))
        done = [silence.id for silence in silences if silence.until_resolved and silence.id not in matching]
        await self._store.remove_silences(done)

    async def _repeat(self, settings: AlertSettings, routing: Routing, now: float) -> None:
        due: dict[tuple[str, str], _Due] = {}
        async for _, raw in supervise.in_turns(self._store.each_incident()):
            incident = decode_incident(raw)
            if incident is None or incident.state is not IncidentState.FIRING or settings.held_until(incident, now):
                continue
            for destination in routing.destinations(incident):
                post = incident.post_at(destination.to)
                if post is not None and _is_due(post, destination, settings, now):
                    found = due.setdefault((post.channel, post.ts), _Due(destination=destination, post=post))
                    found.members.append(PendingIncident(raw=raw, incident=incident, known=False))
        by_channel: dict[str, list[_Due]] = {}
        for (channel, _), one in due.items():
            by_channel.setdefault(channel, []).append(one)
        for channel, in_channel in by_channel.items():
            if (name := f"reminders {channel}") not in self._tasks.busy:
                self._tasks.start(name, self._remind(in_channel, settings, now))

    async def _remind(self, due: Sequence[_Due], settings: AlertSettings, now: float) -> None:
        """Sends the reminders of one channel."""
        for one in due:
            mention = tuple(who for who in one.destination.mention if not settings.muted_until(who, now))
            for once, members in (await self._entries(one)).items():
                incidents = [pending.incident for pending, _ in members]
                since = f"after {_span(now - min(incident.began_ns for incident in incidents) / 1e9)}"
                if await self._say(one.post, incident_message.reminder(incidents, since, mention), once=once):
                    for pending, post in members:
                        await save_post(self._store, pending, msgspec.structs.replace(post, reminded_at=now))

    async def _entries(self, due: _Due) -> dict[str, list[tuple[PendingIncident, PostedIncident]]]:
        """Returns the incidents of one message by the name of the entry that reminds of them. What an earlier try
        named stays in its entry, so that no other change makes it appear twice."""
        named: dict[str, tuple[PendingIncident, PostedIncident]] = {}
        for pending in due.members:
            post = pending.incident.post_at(due.destination.to)
            assert post is not None
            named[message_name(pending.incident, post.ts, f"reminder {post.reminded_at}")] = (pending, post)
        entries: dict[str, list[tuple[PendingIncident, PostedIncident]]] = {}
        for name, entry in (await self._record.entries(sorted(named))).items():
            entries.setdefault(entry, []).append(named[name])
        return entries

    async def _say(self, post: PostedIncident, reply: Reply, *, once: str, broadcast: bool = True) -> bool:
        try:
            try:
                thread = "" if post.gone else post.ts
                await self._poster.post(post.channel, reply, thread, broadcast=broadcast, once=once)
            except errors.MessageNotFound:
                await self._poster.post(post.channel, reply, once=f"{once} anew")
        except errors.DeliveryError as error:
            log.error(
                "A reminder of an incident was not posted.",
                channel=post.channel,
                message=post.ts,
                reason=error.full_message(),
            )
            return False
        self._counts.incident_messages_total.labels("reminded").inc()
        return True


def _is_due(post: PostedIncident, destination: Destination, settings: AlertSettings, now: float) -> bool:
    if not destination.repeat or not post.reminded_at or now - post.reminded_at < destination.repeat:
        return False
    if _is_quiet(destination, now):
        return False
    return not _is_muted(destination, settings, now)


def _is_muted(destination: Destination, settings: AlertSettings, now: float) -> bool:
    return destination.is_person and bool(settings.muted_until(destination.to, now))


def _is_quiet(destination: Destination, now: float) -> bool:
    return destination.quiet is not None and destination.quiet.at(now) is not None


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
