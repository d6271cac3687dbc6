"""Posts incidents: a message for each, edited when the incident changes, and entries in its thread.

The routes decide where. The store holds which incidents changed and which messages were posted. So nothing is lost when
this process ends: the next process continues. Only one process posts; it holds a lease. Each message has a name
(`once`), under which it is posted once, even if a process dies between the post and its record.

If a channel cannot be reached, its incidents wait, and only the newest state of each is posted; the other channels
continue. The same is true while an incident is silenced, in maintenance, or a consequence of another one. A message
that was posted before is edited and shows that. An incident that began and ended in that time is not posted at all. In
the quiet hours of a route nothing new is posted. At their end, one message lists what happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import structlog

from bot.notify import crash_card_poster, inhibition, posting_decision
from bot.notify.alert_settings import AlertSettings, named_channel, read_settings
from bot.notify.channel_poster import ChannelPoster
from bot.notify.channel_tasks import ChannelTasks, all_at_once
from bot.notify.incident_writer import AT_ONCE, decode_incident
from bot.notify.maintenance_announcer import MaintenanceAnnouncer
from bot.notify.message_sender import MessageSender
from bot.notify.posted_incidents import PendingIncident
from bot.notify.reminders import Reminders
from bot.notify.shared_message_editor import Work
from bot.notify.silenced_message_finder import SilencedMessageFinder
from bot.notify.waiting_incidents import IncidentReadSchedule
from core import errors, metrics, supervise
from core.model.alert_routes import Routing
from core.model.incidents import IncidentState
from core.repeated_log import RepeatedLog
from core.store.alert_settings import AlertSettingsStore

log = structlog.get_logger(__name__)
POLL_SECONDS = 1.0  # for changes by other processes
MAX_AT_ONCE = 250  # incidents that are in memory together
MAX_LOGGED = 10  # incidents that one line of the log names
RETRY_SECONDS = 5.0  # until a channel is tried again
ANNOUNCEMENTS = "announcements"  # the task that finds out which maintenance must be announced and who is reminded


class IncidentReporter:
    """Posts incidents while `run` runs. `routing`: where; without a default channel, the one that was named in chat.
    `changed` is set when one was stored. `leads`: whether this process posts. `card`: makes a thread's first entry.
    `nodes_of`: the node of a Swarm on which the subject of an incident runs."""

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
        nodes_of: inhibition.NodesOf = inhibition.no_nodes,
        now: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._counts = counts
        self._routing = routing
        self._changed = changed
        self._leads = leads
        self._nodes_of = nodes_of
        self._now = now
        self._now_ns = now_ns
        self._retry_at: dict[str, float] = {}
        self._tasks = ChannelTasks()
        self._waiting = IncidentReadSchedule(store)
        self.channels = ChannelPoster(store, poster, counts, card=card, now=now, now_ns=now_ns)
        self._held = SilencedMessageFinder(store)
        self._maintenance = MaintenanceAnnouncer(store, poster, self._tasks)
        self._reminders = Reminders(store, poster, counts, self._tasks)
        self._store_down = RepeatedLog()
        self._undelivered = RepeatedLog()
        self._said_nowhere = False
        self._routed: Routing | None = None

    async def run(self) -> None:
        """Tells people until it is cancelled."""
        try:
            await self._run()
        finally:
            await self._tasks.aclose()
            await self.channels.cards.aclose()

    def stop_posting(self) -> None:
        """Ends the calls in progress: another process may post from now on."""
        self._tasks.cancel()
        self.channels.cards.cancel()

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
                    self.channels.forget()
                    self._held.forget()
                    self._note_channel(self._routing().posts or bool(await named_channel(self._store)))
                self._store_down.ended()
            except errors.StoreError as error:
                if times := self._store_down.due(error.message):
                    log.warning(
                        "The posting of incidents was paused, because the store did not answer.",
                        reason=error.message,
                        times=times,
                    )

    async def flush(self) -> None:
        """Tells people what changed, as far as each channel is ready for it. Raises StoreError."""
        now = self._now_ns() / 1e9
        settings = await read_settings(self._store, now)
        routing = self._routing()
        if not routing.default:
            routing = replace(routing, default=settings.channel)
        self._note_channel(routing.posts)
        await self.channels.restore(routing, now)
        if ANNOUNCEMENTS not in self._tasks.busy:
            self._tasks.start(ANNOUNCEMENTS, self._announce(settings, routing, now))
        if await self._held.mark(settings, now) or routing != self._routed:
            self._routed = routing
            self.channels.decide_anew()
        self.channels.release(self._waiting)
        ready, more = await self._waiting.ready((settings, routing), now, MAX_AT_ONCE)
        self._measure(now)
        by_destination: dict[str, list[Work]] = {}
        read = await self._read(ready, settings, now)
        told: list[PendingIncident] = []
        async for pending in supervise.in_turns(read):
            for destination in posting_decision.places_to_post(pending, routing, settings, now):
                by_destination.setdefault(destination.to, []).append((pending, destination))
            if not pending.left and not pending.waits_until:
                told.append(pending)
            elif pending.waits_until and not pending.left:
                self._waiting.wait(pending.incident.key, pending.waits_until)
        for start in range(0, len(told), AT_ONCE):
            part = told[start : start + AT_ONCE]
            await all_at_once(self._store.incident_told(each.incident.key, each.raw, each.raw) for each in part)
        closed = {to for to in by_destination if to in self._tasks.busy or self._now() < self._retry_at.get(to, 0.0)}
        for to in sorted({*by_destination, *self.channels.lately_used} - closed - set(self._tasks.busy)):
            if not self._leads():
                return
            self._tasks.start(to, self._try_destination(to, by_destination.get(to, []), routing, now))
        await self._tasks.wait()
        closed |= {to for to in by_destination if self._now() < self._retry_at.get(to, 0.0)}
        if self._let_wait(read, closed, now) < len(ready) and more:
            self._changed.set()  # the others have their turn at once

    def _let_wait(self, read: Sequence[PendingIncident], closed: Collection[str], now: float) -> int:
        """Lets the incidents wait that have to, because thousands of them must not be in the way of the others. Returns
        how many are left over for another reason. `closed`: the channels that cannot be reached or are busy."""
        left_over, retry_at = 0, now + RETRY_SECONDS
        for pending in read:
            if pending.left and pending.left <= {*closed, *pending.postponed}:
                until = retry_at if pending.left.intersection(closed) else 0.0
                self._waiting.wait(pending.incident.key, until)
            else:
                left_over += bool(pending.left)
        if left_over:
            self._waiting.left_over()
        return left_over

    async def _announce(self, settings: AlertSettings, routing: Routing, now: float) -> None:
        await self._maintenance.announce(settings, routing.common_channels, now)
        await self._reminders.send_due(settings, routing, now)

    async def _try_destination(self, to: str, work: Sequence[Work], routing: Routing, now: float) -> None:
        try:
            await self.channels.post_changes(to, work, routing, now)
            self._undelivered.ended()
        except errors.DeliveryError as error:
            self._retry_at[to] = self._now() + RETRY_SECONDS
            if times := self._undelivered.due(error.message):
                ids = [pending.incident.id for pending, _ in work[:MAX_LOGGED]]
                log.error(
                    "Incidents, or changes of them, were not posted.",
                    channel=to,
                    incidents=ids,
                    reason=error.full_message(),
                    times=times,
                )

    def _measure(self, now: float) -> None:
        """Measures how many incidents wait, and how long the oldest has waited."""
        self._counts.incidents_waiting.set(self._waiting.count)
        oldest = now - self._waiting.oldest / 1000 if self._waiting.count else 0.0
        self._counts.incidents_oldest_seconds.set(max(0.0, oldest))

    def _note_channel(self, exists: bool) -> None:
        """Counts whether incidents can be posted anywhere, and logs it once if they cannot."""
        self._counts.alert_channel_configured.set(exists)
        if not exists and not self._said_nowhere:
            log.warning(
                "Incidents are not posted, because no channel is configured.",
                hint="Give the command `alerts here` in a channel, or set alerts.to in quarterdeck.yaml.",
            )
        self._said_nowhere = not exists

    async def _read(self, keys: Sequence[str], settings: AlertSettings, now: float) -> Sequence[PendingIncident]:
        """Returns the changed incidents that have a message or may have one now."""
        found: list[PendingIncident] = []
        async for key, raw in supervise.in_turns((await self._store.incidents_of(keys)).items()):
            if (incident := decode_incident(raw)) is None:
                await self._store.remove_incidents([key])
            else:
                found.append(PendingIncident(raw=raw, incident=incident))
        inhibited = await inhibition.inhibited(self._store, (each.incident for each in found), self._nodes_of)
        free = []
        async for each in supervise.in_turns(found):
            incident = each.incident
            until = settings.held_until(incident, now)
            if (not until and incident.key not in inhibited) or incident.posts:
                free.append(each)  # a message that is there is edited also while nothing new is posted
            elif incident.state is IncidentState.RESOLVED:
                # It began and ended while nothing was posted about it.
                await self._store.incident_told(incident.key, each.raw, each.raw)
            else:
                self._waiting.wait(incident.key, until)  # its newest state is posted afterwards
        return free
