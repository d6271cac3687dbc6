"""Posts and edits the messages that several incidents share: of a storm, of a group of a route, and the summary of
quiet hours.

The message shows all its incidents, so an edit reads them from the store, a few at a time. So ten thousand of them are
never in memory together. Changes between two edits of a message wait, by key, for the next edit.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from bot.notify import incident_message
from bot.notify.channel_tasks import all_at_once
from bot.notify.incident_writer import AT_ONCE, decode_incident
from bot.notify.message_sender import MessageSender
from bot.notify.posted_incidents import OpenMessages, PendingIncident, mark_gone, place_of, save_post
from bot.notify.posting_decision import EndedQuietHours
from bot.notify.shared_message_content import SharedContent, ShownIncident
from bot.notify.shared_message_record import SharedMessageRecord
from bot.notify.waiting_incidents import IncidentReadSchedule
from core import errors, metrics, supervise
from core.lazy_dataclass import dataclass
from core.model.alert_routes import Destination
from core.model.incidents import Incident, IncidentState, PostedIncident
from core.store.incidents import IncidentStore, MessageId

EDIT_SECONDS = 4.0  # between two edits of one message
READ_AT_ONCE = 200
Work = tuple[PendingIncident, Destination]
Place = tuple[str, str]
"""The id of a channel, and that of a message in it."""
Record = tuple[PendingIncident, PostedIncident, PostedIncident]
"""An incident with the record of its message before and after an edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """What waits for an edit. `held`: what holds the incident back. `alone`: nothing else has to be posted about it."""

    destination: Destination
    held: str
    alone: bool


class SharedMessageEditor:
    """Posts and edits shared messages. `now`: seconds of a monotonic clock; `now_ns`: since the epoch."""

    def __init__(
        self,
        store: IncidentStore,
        poster: MessageSender,
        counts: metrics.Metrics,
        open_messages: OpenMessages,
        *,
        now: Callable[[], float],
        now_ns: Callable[[], int],
    ) -> None:
        self._store = store
        self._poster = poster
        self._counts = counts
        self._open = open_messages
        self._said = SharedMessageRecord(store)
        self._now = now
        self._now_ns = now_ns
        self._next_edit: dict[str, float] = {}
        self._waiting: dict[str, dict[Place, dict[str, _Waiting]]] = {}  # by destination, message and key
        self._shown: list[str] = []
        self._told: list[str] = []

    def next_edit(self, ts: str) -> float:
        """Returns the time before which this message is not edited, because its last edit was a moment ago."""
        return self._next_edit.get(ts, 0.0)

    # ── what waits ───────────────────────────────────────────────────────────────────────────────────────────────

    def waiting(self, to: str) -> Collection[Place]:
        """Returns the messages at this destination for whose next edit something waits."""
        return tuple(self._waiting.get(to, ()))

    def release(self, waiting: IncidentReadSchedule) -> None:
        """Releases the incidents for which no edit has to wait any more, since the last call."""
        waiting.forget(self._told)
        waiting.look_again(self._shown)
        self._told, self._shown = [], []

    def postpone(self, to: str, place: Place, members: Mapping[str, Work]) -> None:
        """Remembers these incidents for the next edit of the message."""
        for key, (pending, destination) in members.items():
            waiting = self._waiting.setdefault(to, {}).setdefault(place, {})
            alone = pending.left == {to} and not pending.waits_until
            new = _Waiting(destination=destination, held=pending.held, alone=alone)
            other = next(iter(waiting.values()), new)
            waiting[key] = other if other == new else new  # thousands have the same one
            pending.postponed.add(to)

    def decide_anew(self) -> None:
        """Says that more may have to be posted about what waits."""
        for messages in self._waiting.values():
            for waiting in messages.values():
                waiting.update({key: replace(waited, alone=False) for key, waited in waiting.items() if waited.alone})

    def forget_waiting(self, to: str, keys: Sequence[str]) -> None:
        """Forgets these incidents, because it is decided anew where they are posted."""
        for place, waiting in list(self._waiting.get(to, {}).items()):
            for key in keys:
                waiting.pop(key, None)
            if not waiting:
                self._done(to, place)

    def forget(self, place: Place) -> None:
        """Forgets what waits for a message that was deleted."""
        for to in list(self._waiting):
            self._done(to, place)

    def forget_all(self) -> None:
        """Forgets everything, because another process posts now."""
        self._waiting.clear()
        self._shown.clear()
        self._told.clear()

    def _done(self, to: str, place: Place) -> None:
        messages = self._waiting.get(to, {})
        self._shown += messages.pop(place, ())
        if not messages:
            self._waiting.pop(to, None)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def is_in_summary(self, to: str, hours: EndedQuietHours, incident: Incident) -> bool:
        """Whether an earlier try of the summary of these hours named the incident."""
        return incident.key in await self._said.members(_summary_name(to, hours))

    async def post_summary(self, to: str, hours: EndedQuietHours, members: Sequence[Work]) -> Place:
        """Posts one message about what these quiet hours held back. Returns where it is. If it was posted before, these
        incidents join it: an earlier try may have ended before all of them were recorded, and others may come later."""
        mention = _called(members)
        table = incident_message.IncidentTable()
        for pending, _ in members:
            table.add(pending.incident)
        reply, turns = table.reply(hours.text, mention), {each.incident.key: each.incident.turns for each, _ in members}
        name = _summary_name(to, hours)
        while True:
            told = await self._said.begin(name, turns)
            sent = await self._poster.post(to, reply, once=name)
            place = (sent.channel, sent.ts)
            if not sent.tried_before:
                break
            joining = {
                pending.incident.key: (pending, replace(destination, group=hours.text))
                for pending, destination in members
            }
            with contextlib.suppress(errors.MessageNotFound):
                await self.edit(to, place, joining, group=hours.text, told=told)
                return place
            name = f"{name} after {sent.ts}"
        self._counts.incident_messages_total.labels("posted").inc()
        if told:
            await self._said.replace(name, turns)
        await self._record(
            [
                self._recorded(
                    pending,
                    self._new_post(place, pending, to, mention if destination.mention else ()),
                    ShownIncident.of(pending.incident, destination),
                    group=hours.text,
                )
                for pending, destination in members
            ]
        )
        return place

    async def edit(
        self,
        to: str,
        place: Place,
        members: Mapping[str, Work],
        *,
        storm: str = "",
        group: str = "",
        told: Mapping[str, int] | None = None,
    ) -> None:
        """Edits a message: `members`, by key, and what waits for this edit join it or have changed. All others that it
        shows stay in it. `storm`: what the incidents of a storm have in common, in words, if that is decided now;
        `group`: the same of a group whose incidents may not be recorded yet. `told`: which turns of incidents an
        earlier try of the message said. If the message was deleted, that is recorded for all of them, and
        MessageNotFound is raised."""
        waiting = self._waiting.get(to, {}).get(place, {})
        content = await self._read(SharedContent(place, group, told or {}), members, waiting)
        if content.table.count:
            for key in await self._edit(content, members, waiting, content.storm(storm)):
                waiting.pop(key, None)
                self._told.append(key)
        self._done(to, place)

    async def _read(
        self, content: SharedContent, members: Mapping[str, Work], waiting: Mapping[str, _Waiting]
    ) -> SharedContent:
        """Reads what the message must show. An incident that waits may be in the message already, or may join it."""
        for pending, destination in members.values():
            content.add(pending.incident, destination, pending.held)
        async for pending in supervise.in_turns(self._others(key for key in waiting if key not in members)):
            if (waited := waiting.get(pending.incident.key)) is not None:
                content.add_other(pending.incident, waited.destination, waited.held)
        async for key, raw in supervise.in_turns(self._store.incidents_in(MessageId(*content.place))):
            if key in members or key in waiting:
                continue
            if (incident := decode_incident(raw)) is not None and content.post_of(incident) is not None:
                content.add_other(incident)
        return content

    async def _edit(
        self, content: SharedContent, members: Mapping[str, Work], waiting: Mapping[str, _Waiting], storm: str
    ) -> Sequence[str]:
        """Returns the keys of those that waited of which people need not be told anything else."""
        channel, ts = content.place
        try:
            await self._poster.edit(channel, ts, content.reply(storm))
        except errors.MessageNotFound:
            self._open.remove(channel, ts)
            async for pending in self._others(content.others()):
                await self._mark_gone(content, pending)
            for pending, _ in members.values():
                await self._mark_gone(content, pending)
            raise
        self._counts.incident_messages_total.labels("edited").inc()
        self._next_edit = {known: at for known, at in self._next_edit.items() if at > self._now()}
        self._next_edit[ts] = self._now() + EDIT_SECONDS
        if not content.table.open_count:
            self._open.remove(channel, ts)
        # An edit calls nobody, so the thread says what is new. What an earlier try said in one entry stays in it.
        if turns := content.turns():
            for reply, name in content.entries(await self._said.entries(turns)):
                with contextlib.suppress(errors.MessageNotFound):  # it has no thread
                    await self._poster.post(channel, reply, ts, once=name)
        records = []
        for pending, destination in members.values():
            called = content.called_before(pending.incident, destination)
            post = content.post_of(pending.incident) or self._new_post(content.place, pending, destination.to, called)
            shown = ShownIncident.of(pending.incident, destination)
            records.append(self._recorded(pending, post, shown, group=content.group, storm=storm))
        await self._record(records)
        records, told = [], []
        async for pending in self._others(content.to_record(storm)):
            key = pending.incident.key
            found, other, waited = content.post_of(pending.incident), content.unrecorded.get(key), waiting.get(key)
            if found is None and other is not None and other.destination is not None:
                found = self._new_post(content.place, pending, other.destination.to)
            if found is not None:
                pending.held = waited.held if waited is not None else found.held
                if waited is not None and waited.alone and other is not None:
                    pending.known = other.version == pending.incident.version
                    told += [key] * pending.known
                records.append(self._recorded(pending, found, other, group=content.group, storm=storm))
            if len(records) >= READ_AT_ONCE:
                await self._record(records)
                records = []
        await self._record(records)
        return told

    async def _others(self, keys: Iterable[str]) -> AsyncIterator[PendingIncident]:
        """Reads incidents again of which only the keys were kept. They may have changed meanwhile."""
        left = iter(keys)
        while part := list(itertools.islice(left, READ_AT_ONCE)):
            for raw in (await self._store.incidents_of(part)).values():
                if (incident := decode_incident(raw)) is not None:
                    yield PendingIncident(raw=raw, incident=incident, known=False)

    async def _mark_gone(self, content: SharedContent, pending: PendingIncident) -> None:
        if (post := content.post_of(pending.incident)) is not None:
            await mark_gone(self._store, pending, post)

    def _new_post(
        self, place: Place, pending: PendingIncident, to: str, mentioned: tuple[str, ...] = ()
    ) -> PostedIncident:
        return PostedIncident(
            channel=place[0],
            ts=place[1],
            version=0,
            to=place_of(pending.incident, to, place[0]),
            mentioned=mentioned,
            reminded_at=self._now_ns() / 1e9,
        )

    @staticmethod
    def _recorded(
        pending: PendingIncident, post: PostedIncident, shown: ShownIncident | None, *, group: str, storm: str = ""
    ) -> Record:
        """Returns the record of a message before and after it showed this. `shown`: None if that is recorded."""
        version, told = (post.version, post.told) if shown is None else (shown.version, shown.told(post, group))
        after = msgspec.structs.replace(
            post, version=version, told=told, shared=True, group=group, storm="" if group else storm, held=pending.held
        )
        return pending, post, after

    async def _record(self, records: Sequence[Record]) -> None:
        new = [(pending, after) for pending, before, after in records if after != before or pending.known]
        for start in range(0, len(new), AT_ONCE):
            await all_at_once(save_post(self._store, *each) for each in new[start : start + AT_ONCE])


def _summary_name(to: str, hours: EndedQuietHours) -> str:
    return f"{to}.summary {hours.begin:.0f} {hours.text}"


def _called(members: Sequence[Work]) -> tuple[str, ...]:
    """Returns whom a new message about these incidents mentions: nobody for those that are over."""
    open_ones = [each for each in members if each[0].incident.state is not IncidentState.RESOLVED]
    return tuple(dict.fromkeys(who for _, destination in open_ones for who in destination.mention))
