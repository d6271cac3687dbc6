"""Posts and edits the messages of each channel: one message for each incident, or one that several incidents share.

In each channel, new incidents of high severity come first, the oldest at the top. Several incidents share a message if
they began at almost the same time, if their route groups them, or if quiet hours delayed them. If somebody deleted a
message, the next change of its incidents is posted as a new one. If the chat refuses one message, the others are still
posted.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import msgspec
import structlog

from bot.notify import crash_card_poster, incident_message, incident_storms, posting_decision
from bot.notify.delivery_failures import DeliveryFailures
from bot.notify.message_sender import MessageSender, SentMessage, message_name
from bot.notify.posted_incidents import OpenMessages, PendingIncident, mark_gone, place_of, save_post
from bot.notify.shared_message_editor import Place, SharedMessageEditor, Work
from bot.notify.waiting_incidents import IncidentReadSchedule
from core import errors, metrics
from core.model.alert_routes import Destination, Routing
from core.model.alerts import Severity
from core.model.incidents import Incident, IncidentState, PostedIncident
from core.store.incidents import IncidentStore

log = structlog.get_logger(__name__)
_ORDER = tuple(Severity)
SUMMARY_SECONDS = 600.0  # for which what else the quiet hours held back joins the message about it
LATE_CARD_SECONDS = 60.0  # after a message, for which another process posts the card that an earlier one did not


class ChannelPoster:
    """Holds what was posted lately in each channel. `card`: makes the first entry of a thread. `now`: seconds of a
    monotonic clock; `now_ns`: since the epoch."""

    def __init__(
        self,
        store: IncidentStore,
        poster: MessageSender,
        counts: metrics.Metrics,
        *,
        card: crash_card_poster.MakeCard,
        now: Callable[[], float],
        now_ns: Callable[[], int],
    ) -> None:
        self._store = store
        self._poster = poster
        self._counts = counts
        self._now = now
        self._now_ns = now_ns
        self.cards = crash_card_poster.CrashCardPoster(poster, card)
        self._windows: dict[str, incident_storms.StormGrouping] = {}
        # With the time until which others join them, by destination:
        self._summaries: dict[tuple[str, posting_decision.EndedQuietHours], tuple[Place, float]] = {}
        self._open = OpenMessages(store)
        self._shared = SharedMessageEditor(store, poster, counts, self._open, now=now, now_ns=now_ns)

    @property
    def lately_used(self) -> Collection[str]:
        """The channels in which something was posted lately."""
        return self._windows.keys()

    def decide_anew(self) -> None:
        """Lets each incident that waits for an edit be looked at again after it, because what holds incidents back, or
        the routes, changed."""
        self._shared.decide_anew()

    def release(self, waiting: IncidentReadSchedule) -> None:
        """Releases the incidents that waited for an edit of a shared message, and do not any more."""
        self._shared.release(waiting)

    async def restore(self, routing: Routing, now: float) -> None:
        """Goes on with what another process posted lately. `now`: seconds since the epoch. Raises StoreError."""
        for incident, post in await self._open.load(now - max(routing.storm_seconds, LATE_CARD_SECONDS)):
            age = now - post.reminded_at
            if age <= routing.storm_seconds:
                self._window(post.destination, routing).restore(incident, post, self._now() - age)
            if not post.shared and now - incident.began_ns / 1e9 <= LATE_CARD_SECONDS:
                await self._hold_late_card(incident, post, routing)

    def forget(self) -> None:
        """Forgets everything, because another process posts now."""
        self._open.forget()
        self._shared.forget_all()
        self.cards.cancel()
        self._windows.clear()
        self._summaries.clear()

    async def post_changes(self, to: str, work: Sequence[Work], routing: Routing, now: float) -> None:
        """Says in one channel what is new about these incidents, as far as it is ready for it. `now`: seconds since the
        epoch. Raises the first DeliveryError after the other incidents had their turn; StoreError."""
        window, failures = self._window(to, routing), DeliveryFailures()
        unposted = [each for each in work if _posted(each, to) is None]
        unposted.sort(key=lambda each: (_ORDER.index(each[0].incident.severity), each[0].incident.began_ns))
        shared: dict[Place, dict[str, Work]] = {}
        self._shared.forget_waiting(to, [pending.incident.key for pending, _ in work])  # they are decided anew
        new = self._join_groups(await self._summarize(to, unposted, now, failures, shared), routing, shared)
        by_key = {pending.incident.key: (pending, destination) for pending, destination in new}
        for incident in window.due([pending.incident for pending, _ in new], self._now()):
            with failures.collected():
                await self._post(window, *by_key[incident.key])
                break
        for storm in window.storms:
            self.cards.drop(to, storm.ts)
            for key in storm.members & by_key.keys():
                shared.setdefault((storm.channel, storm.ts), {})[key] = by_key[key]
        for ts in self.cards.held(to):
            with failures.collected():
                await self._post_card(to, ts, self._now())
        for pending, destination in work:
            post = _posted((pending, destination), to)
            if post is None or destination.to not in pending.left:
                continue
            if post.shared:
                shared.setdefault((post.channel, post.ts), {})[pending.incident.key] = (pending, destination)
            else:
                with failures.collected():
                    await self._edit(pending, destination, post)
        for place in {**shared, **dict.fromkeys(self._shared.waiting(to))}:
            with failures.collected():
                await self._edit_shared(to, window, place, shared.get(place, {}))
        if not work and window.idle(self._now()) and not (self._shared.waiting(to) or self.cards.held(to)):
            self._windows.pop(to, None)
        failures.raise_first()

    def _window(self, to: str, routing: Routing) -> incident_storms.StormGrouping:
        if to not in self._windows:
            self._windows[to] = incident_storms.StormGrouping(size=routing.storm_size, seconds=routing.storm_seconds)
        return self._windows[to]

    async def _summarize(
        self, to: str, new: Sequence[Work], now: float, failures: DeliveryFailures, shared: dict[Place, dict[str, Work]]
    ) -> Sequence[Work]:
        """Posts one message about what the quiet hours held back, or adds it in `shared` to the message that was posted
        a moment ago. Returns the other incidents. A single open one gets its own message, unless an earlier try of the
        summary named it."""
        missed: dict[posting_decision.EndedQuietHours, list[Work]] = {}
        summarized: set[str] = set()
        for each in new:
            if hours := posting_decision.missed_quiet_hours(each[0].incident, each[1], now):
                missed.setdefault(hours, []).append(each)
        self._summaries = {key: found for key, found in self._summaries.items() if self._now() < found[1]}
        for hours, members in missed.items():
            first = members[0][0].incident
            alone = len(members) == 1 and first.state is not IncidentState.RESOLVED
            if (found := self._summaries.get((to, hours))) is not None:
                joining = {each[0].incident.key: (each[0], replace(each[1], group=hours.text)) for each in members}
                shared.setdefault(found[0], {}).update(joining)
            elif not alone or await self._shared.is_in_summary(to, hours, first):
                with failures.collected():
                    place = await self._shared.post_summary(to, hours, members)
                    self._summaries[to, hours] = (place, self._now() + SUMMARY_SECONDS)
            else:
                continue
            summarized |= {each[0].incident.key for each in members}
        return [each for each in new if each[0].incident.key not in summarized]

    def _join_groups(
        self, new: Sequence[Work], routing: Routing, shared: dict[Place, dict[str, Work]]
    ) -> Sequence[Work]:
        """Adds incidents to the open message of their group in `shared`, and returns those that begin a message. The
        next one of a group waits until the first one is posted."""
        if not routing.groups:
            return new
        first: list[Work] = []
        begun: set[str] = set()
        for pending, destination in new:
            place = self._open.find(destination.to, destination.group)
            if place is not None:
                shared.setdefault(place, {})[pending.incident.key] = (pending, destination)
            elif not destination.group or destination.group not in begun:
                begun.add(destination.group)
                first.append((pending, destination))
        return first

    async def _edit_shared(
        self, to: str, window: incident_storms.StormGrouping, place: Place, members: Mapping[str, Work]
    ) -> None:
        """Edits a shared message if its time has come. If it was deleted, those that have news have no message any
        more, so the next call posts them."""
        channel, ts = place
        storm = window.storm_in(ts)
        due_at = self._shared.next_edit(ts)
        if storm is not None and all(_posted(each, to) is None for each in members.values()):
            due_at = max(due_at, storm.due_at())
        if due_at > self._now():
            self._shared.postpone(to, place, members)
            return
        try:
            await self._shared.edit(to, place, members, storm=storm.scope if storm is not None else "")
        except errors.MessageNotFound:
            self._forget_message(channel, ts)
        finally:  # the edit of thousands takes a while
            if storm is not None:
                storm.next_edit = self._now() + incident_storms.STORM_EDIT_SECONDS

    async def _post_card(self, to: str, ts: str, now: float = math.inf) -> None:
        """Posts the card of a message, if it is held and its time has come."""
        with contextlib.suppress(errors.MessageNotFound):
            await self.cards.post_due(to, ts, now)

    async def _hold_late_card(self, incident: Incident, post: PostedIncident, routing: Routing) -> None:
        """Lets the card of a message be posted soon, unless the process that posted the message began to do so."""
        to = post.destination
        if await self._store.post_record(crash_card_poster.card_name(incident, to, post.ts)) is not None:
            return
        places = [each for each in routing.destinations(incident) if each.to == to]
        destination = places[0] if places else Destination(to=to)
        self._window(to, routing)
        sent = SentMessage(channel=post.channel, ts=post.ts)
        self.cards.hold(incident, sent, destination, urgent=False, until=self._now())

    def _forget_message(self, channel: str, ts: str) -> None:
        log.info(
            "The message of an incident was deleted. The next change will be posted in a new message.",
            channel=channel,
            ts=ts,
        )
        self._open.remove(channel, ts)
        self._shared.forget((channel, ts))
        self.cards.forget(ts)
        self._summaries = {key: found for key, found in self._summaries.items() if found[0] != (channel, ts)}
        for window in self._windows.values():
            window.forget_message(ts)

    async def _post(
        self, window: incident_storms.StormGrouping, pending: PendingIncident, destination: Destination
    ) -> None:
        incident = pending.incident
        resolved = incident.state is IncidentState.RESOLVED
        mention = () if resolved else destination.mention
        urgent = incident.severity is Severity.HIGH
        reply = incident_message.make_incident_reply(incident, mention, pending.held)
        gone = incident.post_at(destination.to)
        once = message_name(incident, destination.to, "message" if gone is None else f"message after {gone.ts}")
        sent = await self._poster.post(destination.to, reply, once=once, urgent=urgent)
        self._counts.incident_messages_total.labels("posted").inc()
        if sent.tried_before:  # its text may be older than what is recorded now
            with contextlib.suppress(errors.MessageNotFound):
                await self._poster.edit(sent.channel, sent.ts, reply)
        window.posted(sent.channel, sent.ts, incident, self._now())
        post = PostedIncident(
            channel=sent.channel,
            ts=sent.ts,
            version=incident.version,
            told=incident.turns,
            to=place_of(incident, destination.to, sent.channel),
            group=destination.group,
            mentioned=mention,
            reminded_at=self._now_ns() / 1e9,
            noted=incident.noted,
            held=pending.held,
        )
        if destination.group and not resolved:
            self._open.add(destination.to, destination.group, sent)
        until = self._now() + incident_storms.COLLECT_SECONDS
        self.cards.hold(incident, sent, destination, urgent=urgent, until=until)
        await save_post(self._store, pending, post)

    async def _edit(self, pending: PendingIncident, destination: Destination, post: PostedIncident) -> None:
        try:
            await self._say_news(pending, destination, post)
        except errors.MessageNotFound:
            self._forget_message(post.channel, post.ts)
            await mark_gone(self._store, pending, post)

    async def _say_news(self, pending: PendingIncident, destination: Destination, post: PostedIncident) -> None:
        incident = pending.incident
        if post.version < incident.version or post.held != pending.held:
            reply = incident_message.make_incident_reply(incident, post.mentioned, pending.held)
            await self._poster.edit(post.channel, post.ts, reply)
            self._counts.incident_messages_total.labels("edited").inc()
        told, mentioned = post.told, post.mentioned
        if not destination.silent:
            called = posting_decision.newly_mentioned(incident, post, destination)
            if post.told < incident.turns or called or post.noted < incident.noted:
                await self._post_card(destination.to, post.ts)  # the first entry of the thread
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
        edited = msgspec.structs.replace(
            post, version=incident.version, told=told, mentioned=mentioned, noted=noted, held=pending.held
        )
        await save_post(self._store, pending, edited)


def _posted(work: Work, to: str) -> PostedIncident | None:
    """Returns the message about an incident in this place, if it was not deleted."""
    post = work[0].incident.post_at(to)
    return None if post is None or post.gone else post
