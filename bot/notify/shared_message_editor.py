"""Posts and edits the messages that several incidents share: a storm, a group of a route, and the list of what
happened in quiet hours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bot.notify import incident_message
from bot.notify.incident_writer import decode_incident
from bot.notify.message_sender import MessageSender, message_name
from bot.notify.posted_incidents import OpenMessages, PendingIncident, mark_gone, place_of, save_post
from core import errors, metrics
from core.model.alert_routes import Destination
from core.model.incidents import IncidentState, PostedIncident
from core.store.incidents import IncidentStore

EDIT_SECONDS = 4.0  # between two edits of one message
Work = tuple[PendingIncident, Destination]


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
        self._now = now
        self._now_ns = now_ns
        self._next_edit: dict[str, float] = {}

    def may_edit(self, ts: str) -> bool:
        """Whether the last edit of this message is long enough ago."""
        return self._now() >= self._next_edit.get(ts, 0.0)

    async def post(self, name: str, members: Sequence[Work]) -> None:
        """Posts one message for these incidents. `name`: what they have in common, in words."""
        mention = _called(members)
        reply = incident_message.shared_reply([pending.incident for pending, _ in members], name, mention)
        to = members[0][1].to
        first = min((pending.incident for pending, _ in members), key=lambda incident: incident.began_ns)
        sent = await self._poster.post(to, reply, once=message_name(first, to, f"with others {name}"))
        self._counts.incident_messages_total.labels("posted").inc()
        if sent.tried_before:  # its text may be older than what is recorded now
            with contextlib.suppress(errors.MessageGone):
                await self._poster.edit(sent.channel, sent.ts, reply)
        for pending, destination in members:
            post = self._new_post(sent.channel, sent.ts, place_of(pending.incident, to, sent.channel))
            await self._save(pending, post, name, mention if destination.mention else ())

    async def edit(self, channel: str, ts: str, members: Mapping[str, Work], *, storm: str = "") -> None:
        """Edits a message: `members`, by key, join it or have changed. All others that it shows stay in it. `storm`:
        what the incidents of a storm have in common, in words, if that is decided now. If the message was deleted, that
        is recorded for all of them, and MessageGone is raised."""
        found = {key: pending for key, (pending, _) in members.items()}
        for key, raw in (await self._store.incidents()).items():
            if key in found or (incident := decode_incident(raw)) is None:
                continue
            if any((post.channel, post.ts) == (channel, ts) for post in incident.posts):
                held = next(post.held for post in incident.posts if (post.channel, post.ts) == (channel, ts))
                found[key] = PendingIncident(raw=raw, incident=incident, known=False, held=held)
        posts = [post for each in found.values() if (post := _post_in(each, channel, ts)) is not None]
        group = next((post.group for post in posts if post.group), "")
        joining = [each for each in members.values() if _post_in(each[0], channel, ts) is None]
        if any(destination.group != group for _, destination in joining):
            group = ""  # it is a storm, which takes in the message of a group
        storm = storm or next((post.storm for post in posts if post.storm), "")
        incidents = [pending.incident for pending in found.values()]
        called = tuple(dict.fromkeys(who for post in posts for who in post.mentioned))
        holds = {each.incident.key: each.held for each in found.values()}
        reply = incident_message.shared_reply(incidents, group, called, storm=storm, held=holds)
        try:
            await self._poster.edit(channel, ts, reply)
        except errors.MessageGone:
            self._open.remove(channel, ts)
            for pending in found.values():
                if (post := _post_in(pending, channel, ts)) is not None:
                    await mark_gone(self._store, pending, post)
            raise
        self._counts.incident_messages_total.labels("edited").inc()
        self._next_edit = {known: at for known, at in self._next_edit.items() if at > self._now()}
        self._next_edit[ts] = self._now() + EDIT_SECONDS
        if all(incident.state is IncidentState.RESOLVED for incident in incidents):
            self._open.remove(channel, ts)
        with contextlib.suppress(errors.MessageGone):  # it has no thread
            await self._write_in_thread(channel, ts, group, members)
        for key, pending in found.items():
            work = members.get(key)
            post = _post_in(pending, channel, ts)
            if post is None:
                assert work is not None
                post = self._new_post(channel, ts, place_of(pending.incident, work[1].to, channel))
            silent = work is None or (bool(group) and work[1].silent)  # then nobody was told of its turn
            await self._save(pending, post, group, post.mentioned, silent=silent, storm=storm)

    def _new_post(self, channel: str, ts: str, to: str) -> PostedIncident:
        return PostedIncident(channel=channel, ts=ts, version=0, to=to, reminded_at=self._now_ns() / 1e9)

    async def _write_in_thread(self, channel: str, ts: str, group: str, members: Mapping[str, Work]) -> None:
        """Says in the thread of a group what is new: an edit of its message calls nobody. A storm has no entries."""
        if not group:
            return
        new = [
            (pending, destination)
            for pending, destination in members.values()
            if not destination.silent and _is_new(pending, _post_in(pending, channel, ts))
        ]
        if new:
            entry = incident_message.group_entry([pending.incident for pending, _ in new], _called(new))
            turns = sorted(message_name(each.incident, ts, f"turn {each.incident.turns}") for each, _ in new)
            await self._poster.post(channel, entry, ts, once=" ".join(turns))

    async def _save(
        self,
        pending: PendingIncident,
        post: PostedIncident,
        group: str,
        mentioned: tuple[str, ...],
        *,
        silent: bool = False,
        storm: str = "",
    ) -> None:
        incident = pending.incident
        told = post.told if silent else incident.turns
        saved = msgspec.structs.replace(
            post,
            version=incident.version,
            told=told,
            shared=True,
            group=group,
            mentioned=mentioned,
            storm="" if group else storm,
            held=pending.held,
        )
        if saved != post or pending.known:
            await save_post(self._store, pending, saved)


def _is_new(pending: PendingIncident, post: PostedIncident | None) -> bool:
    return post is None or post.told < pending.incident.turns


def _post_in(pending: PendingIncident, channel: str, ts: str) -> PostedIncident | None:
    return next((post for post in pending.incident.posts if (post.channel, post.ts) == (channel, ts)), None)


def _called(members: Sequence[Work]) -> tuple[str, ...]:
    """Returns whom a new message about these incidents mentions: nobody for those that are over."""
    open_ones = [each for each in members if each[0].incident.state is not IncidentState.RESOLVED]
    return tuple(dict.fromkeys(who for _, destination in open_ones for who in destination.mention))
