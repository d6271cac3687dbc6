"""Posts incidents: a message for each, edited when the incident changes, and entries in its thread.

The routes decide where. The store holds which incidents changed and which messages were posted. So nothing is lost when
this process ends: the next one goes on. Only one process posts; it holds a lease. Each message has a name (`once`), by
which it is posted once, also if a process ends between the post and its record. In each channel, new incidents of high
severity come first, the oldest at the top. If a channel cannot be reached, its incidents wait, and only the newest
state of each is posted; the other channels go on. The same is true while an incident is silenced, in maintenance, or a
consequence of another one. What began and ended in that time is not posted at all. In the quiet hours of a route
nothing new is posted; at their end, one message lists what happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import structlog

from bot.notify import crash_card_poster, incident_message, inhibition, posting_decision
from bot.notify.alert_settings import AlertSettings, named_channel, read_settings
from bot.notify.changed_incidents import ChangedIncidents
from bot.notify.channel_tasks import ChannelTasks
from bot.notify.incident_updater import decode_incident
from bot.notify.maintenance_announcer import MaintenanceAnnouncer
from bot.notify.message_sender import MessageSender, message_name
from bot.notify.posted_incidents import OpenMessages, PendingIncident, save_post
from bot.notify.reminders import Reminders
from bot.notify.shared_message_editor import SharedMessageEditor
from bot.notify.shared_messages import MessageSharing
from bot.notify.waiting_incidents import WaitingIncidents
from core import errors, metrics
from core.model.alert_routes import Destination, Routing
from core.model.alerts import Severity
from core.model.incidents import IncidentState, PostedIncident
from core.repeated_log import RepeatedLog
from core.store.alert_settings import AlertSettingsStore

log = structlog.get_logger(__name__)
POLL_SECONDS = 1.0  # for changes by other processes
MAX_AT_ONCE = 2_000
RETRY_SECONDS = 5.0  # until a channel is tried again
ANNOUNCEMENTS = "announcements"  # the task that writes about maintenance and reminds, beside those of the channels
_ORDER = tuple(Severity)
Work = tuple[PendingIncident, Destination]


class IncidentReporter:
    """Posts incidents while `run` runs. `routing`: where; without a default channel, the one that was named in chat.
    `changed` is set when one was stored. `leads`: whether this process posts. `card`: makes a thread's first entry."""

    def __init__(
        self,
        store: AlertSettingsStore,
        poster: MessageSender,
        counts: metrics.Metrics,
        *,
        routing: Callable[[], Routing],
        changed: asyncio.Event,
        leads: Callable[[], bool],
        card: crash_card_poster.MakeCard = crash_card_poster.plain_card,
        now: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._poster = poster
        self._counts = counts
        self._routing = routing
        self._changed = changed
        self._leads = leads
        self.cards = crash_card_poster.CrashCardPoster(poster, card)
        self._now = now
        self._now_ns = now_ns
        self._windows: dict[str, MessageSharing] = {}
        self._retry_at: dict[str, float] = {}
        self._tasks = ChannelTasks()
        self._changed_incidents = ChangedIncidents(store)
        self._waiting = WaitingIncidents()
        self._open = OpenMessages(store)
        self._shared = SharedMessageEditor(store, poster, counts, self._open, now=now, now_ns=now_ns)
        self._maintenance = MaintenanceAnnouncer(store, poster)
        self._reminders = Reminders(store, poster, counts)
        self._store_down = RepeatedLog()
        self._undelivered = RepeatedLog()
        self._said_nowhere = False

    async def run(self) -> None:
        """Tells people until it is cancelled."""
        try:
            await self._run()
        finally:
            await self._tasks.aclose()
            await self.cards.aclose()

    def stop_posting(self) -> None:
        """Ends the calls in progress: another process may post from now on."""
        self._tasks.cancel()
        self.cards.cancel()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            try:
                if self._leads():
                    await self.flush()
                else:
                    self._open.forget()
                    self._windows.clear()
                    self._note_channel(self._routing().posts or bool(await named_channel(self._store)))
                self._store_down.ended()
            except errors.StoreError as error:
                if times := self._store_down.due(error.message):
                    log.warning("incidents wait for the store", reason=error.message, times=times)

    async def flush(self) -> None:
        """Tells people what changed, as far as each channel is ready for it. Raises StoreError."""
        now = self._now_ns() / 1e9
        settings = await read_settings(self._store, now)
        routing = self._routing()
        if not routing.default:
            routing = replace(routing, default=settings.channel)
        self._note_channel(routing.posts)
        for key, post in await self._open.load(now - routing.storm_seconds):
            age = now - post.reminded_at
            self._window(post.destination, routing).restore(key, post, self._now() - age)
        if ANNOUNCEMENTS not in self._tasks.busy:
            self._tasks.start(ANNOUNCEMENTS, self._announce(settings, routing, now))
        changed = await self._changed_incidents.times(now)
        self._measure(changed, now)
        ready = self._waiting.ready(changed, (settings, routing), now)[:MAX_AT_ONCE]
        by_destination: dict[str, list[Work]] = {}
        for pending in await self._read(ready, settings, now):
            for destination in posting_decision.places_to_post(pending, routing, settings, now):
                by_destination.setdefault(destination.to, []).append((pending, destination))
            if not pending.left and not pending.waits_until:
                await self._store.incident_told(pending.incident.key, pending.raw, pending.raw)
            elif pending.waits_until and not pending.left:
                self._waiting.wait(pending.incident.key, pending.waits_until, now)
        closed = {to for to in by_destination if to in self._tasks.busy or self._now() < self._retry_at.get(to, 0.0)}
        for to in sorted({*by_destination, *self._windows} - closed - set(self._tasks.busy)):
            self._tasks.start(to, self._try_destination(to, by_destination.get(to, []), routing, now))
        await self._tasks.wait()
        closed |= {to for to in by_destination if self._now() < self._retry_at.get(to, 0.0)}
        # Thousands of incidents of a closed channel must not be in the way of the others.
        for pending, _ in (each for to in closed for each in by_destination.get(to, [])):
            if pending.left and pending.left <= closed:
                self._waiting.wait(pending.incident.key, now + RETRY_SECONDS, now)

    async def _announce(self, settings: AlertSettings, routing: Routing, now: float) -> None:
        await self._maintenance.announce(settings, routing.common_channels, now)
        await self._reminders.send_due(settings, routing, now)

    async def _try_destination(self, to: str, work: Sequence[Work], routing: Routing, now: float) -> None:
        try:
            await self._flush_destination(to, work, routing, now)
            self._undelivered.ended()
        except errors.DeliveryError as error:
            self._retry_at[to] = self._now() + RETRY_SECONDS
            if times := self._undelivered.due(error.message):
                log.error("an incident was not posted", channel=to, reason=error.full_message(), times=times)

    def _measure(self, changed: Mapping[str, float], now: float) -> None:
        """Measures how many incidents wait, and how long the oldest has waited. `changed`: the times of the changes in
        ms."""
        self._counts.incidents_waiting.set(len(changed))
        oldest = now - min(changed.values()) / 1000 if changed else 0.0
        self._counts.incidents_oldest_seconds.set(max(0.0, oldest))

    def _note_channel(self, exists: bool) -> None:
        """Counts whether incidents can be posted anywhere, and logs it once if they cannot."""
        self._counts.alert_channel_configured.set(exists)
        if not exists and not self._said_nowhere:
            log.warning(
                "Incidents are posted nowhere, because no channel is named.",
                hint="Give the command `alerts here` in a channel, or set alerts.to in quarterdeck.yaml.",
            )
        self._said_nowhere = not exists

    async def _read(self, keys: Sequence[str], settings: AlertSettings, now: float) -> Sequence[PendingIncident]:
        """Returns the changed incidents that nothing holds back."""
        found: list[PendingIncident] = []
        for key, raw in (await self._store.incidents_of(keys)).items():
            if (incident := decode_incident(raw)) is None:
                await self._store.remove_incidents([key])
            else:
                found.append(PendingIncident(raw=raw, incident=incident))
        inhibited = await inhibition.inhibited(self._store, (each.incident for each in found))
        free = []
        for each in found:
            incident = each.incident
            until = settings.held_until(incident, now)
            if not until and incident.key not in inhibited:
                free.append(each)
            elif incident.state is IncidentState.RESOLVED and not incident.posts:
                # It began and ended while nothing was posted about it.
                await self._store.incident_told(incident.key, each.raw, each.raw)
            else:
                self._waiting.wait(incident.key, until, now)  # its newest state is posted afterwards
        return free

    async def _flush_destination(self, to: str, work: Sequence[Work], routing: Routing, now: float) -> None:
        window = self._window(to, routing)
        unposted = [each for each in work if each[0].incident.post_at(to) is None]
        unposted.sort(key=lambda each: (_ORDER.index(each[0].incident.severity), each[0].incident.began_ns))
        new = await self._join_groups(await self._summarize(unposted, now), routing)
        by_key = {pending.incident.key: (pending, destination) for pending, destination in new}
        for incident in window.due([pending.incident for pending, _ in new], self._now()):
            await self._post(window, *by_key[incident.key])
        storm = window.storm
        if storm is not None and storm.keys.intersection(by_key) and window.storm_due(self._now()):
            joining = {key: by_key[key] for key in storm.keys & by_key.keys()}
            await self._shared.edit(storm.channel, storm.ts, joining)
            window.storm_edited(self._now())
        shared: dict[tuple[str, str], dict[str, Work]] = {}
        for pending, destination in work:
            post = pending.incident.post_at(to)
            if post is None or destination.to not in pending.left:
                continue
            if post.shared:
                shared.setdefault((post.channel, post.ts), {})[pending.incident.key] = (pending, destination)
            else:
                await self._edit(pending, destination, post)
        for (channel, ts), members in shared.items():
            if self._shared.may_edit(ts):
                await self._shared.edit(channel, ts, members)
        if not work and window.idle(self._now()):
            self._windows.pop(to, None)

    def _window(self, to: str, routing: Routing) -> MessageSharing:
        if to not in self._windows:
            self._windows[to] = MessageSharing(size=routing.storm_size, seconds=routing.storm_seconds)
        return self._windows[to]

    async def _summarize(self, new: Sequence[Work], now: float) -> Sequence[Work]:
        """Posts one message about what the quiet hours held back, and returns the other incidents. A single open one
        gets its own message."""
        missed: dict[str, list[Work]] = {}
        for each in new:
            if when := posting_decision.missed_quiet_hours(each[0].incident, each[1], now):
                missed.setdefault(when, []).append(each)
        for when, members in missed.items():
            if len(members) > 1 or members[0][0].incident.state is IncidentState.RESOLVED:
                await self._shared.post(when, members)
        return [each for each in new if each[1].to in each[0].left]

    async def _join_groups(self, new: Sequence[Work], routing: Routing) -> Sequence[Work]:
        """Adds incidents to the open message of their group, and returns those that begin a message. The next one of a
        group waits until the first one is posted."""
        if not routing.groups:
            return new
        first: list[Work] = []
        joining: dict[tuple[str, str], dict[str, Work]] = {}
        begun: set[str] = set()
        for pending, destination in new:
            place = self._open.find(destination.to, destination.group)
            if place is not None:
                joining.setdefault(place, {})[pending.incident.key] = (pending, destination)
            elif not destination.group or destination.group not in begun:
                begun.add(destination.group)
                first.append((pending, destination))
        for (channel, ts), members in joining.items():
            if self._shared.may_edit(ts):
                await self._shared.edit(channel, ts, members)
        return first

    async def _post(self, window: MessageSharing, pending: PendingIncident, destination: Destination) -> None:
        incident = pending.incident
        resolved = incident.state is IncidentState.RESOLVED
        mention = () if resolved else destination.mention
        urgent, reply = incident.severity is Severity.HIGH, incident_message.incident_reply(incident, mention)
        sent = await self._poster.post(
            destination.to, reply, once=message_name(incident, destination.to, "message"), urgent=urgent
        )
        self._counts.incident_messages_total.labels("posted").inc()
        window.posted(sent.channel, sent.ts, incident.key, self._now())
        post = PostedIncident(
            channel=sent.channel,
            ts=sent.ts,
            version=incident.version,
            told=incident.turns,
            to="" if destination.to == sent.channel else destination.to,
            group=destination.group,
            mentioned=mention,
            reminded_at=self._now_ns() / 1e9,
            noted=incident.noted,
        )
        if destination.group and not resolved:
            self._open.add(destination.to, destination.group, sent)
        await self.cards.post(incident, sent, destination, urgent=urgent)  # before the record, lest it is left out
        await save_post(self._store, pending, post)

    async def _edit(self, pending: PendingIncident, destination: Destination, post: PostedIncident) -> None:
        incident = pending.incident
        if post.version < incident.version:
            reply = incident_message.incident_reply(incident, post.mentioned)
            await self._poster.edit(post.channel, post.ts, reply)
            self._counts.incident_messages_total.labels("edited").inc()
        told, mentioned = post.told, post.mentioned
        if not destination.silent:
            called = posting_decision.newly_mentioned(incident, post, destination)
            if post.told < incident.turns or called:
                entry = incident_message.thread_entry(incident, called, turned=post.told < incident.turns)
                what = f"turn {incident.turns}"
                if post.told == incident.turns:
                    what += f" for {' '.join(called)}"
                once, urgent = message_name(incident, destination.to, what), incident.severity is Severity.HIGH
                await self._poster.post(post.channel, entry, post.ts, once=once, urgent=urgent)
            await self.cards.post_notes(incident, post, destination)
            told, mentioned = incident.turns, (*post.mentioned, *(who for who in called if who not in post.mentioned))
        if incident.state is IncidentState.RESOLVED:
            self._open.remove(post.channel, post.ts)
        noted = post.noted if destination.silent else incident.noted
        changes = {"version": incident.version, "told": told, "mentioned": mentioned, "noted": noted}
        await save_post(self._store, pending, msgspec.structs.replace(post, **changes))
