"""Posts entries in the thread of an incident: first its crash card, later its changes.

A card is made as soon as the message is posted, but it is not posted at once. If many incidents share one message (a
storm), this message has no thread and no cards, so the poster first waits until that is known. The evidence of a card
may take seconds to collect. So each card is made in its own task, and other incidents do not wait for it. If a card
cannot be made, or if the chat refuses it, this is logged and there is no card.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

import structlog

from bot.notify import crash_card, incident_message
from bot.notify.message_sender import MessageSender, SentMessage, message_name
from core import errors, tasks
from core.lazy_dataclass import dataclass
from core.model.alert_routes import Destination
from core.model.incidents import Incident, PostedIncident
from core.model.replies import Reply

log = structlog.get_logger(__name__)
MAX_AT_ONCE = 4


class MakeCard(Protocol):
    """Makes a crash card for a channel. `logs`: whether the channel may see log lines."""

    async def __call__(self, incident: Incident, channel: str, /, *, logs: bool) -> Reply: ...


async def plain_card(incident: Incident, channel: str, *, logs: bool) -> Reply:
    """Makes a card of what the incident knows itself."""
    return crash_card.crash_card(incident, crash_card.Evidence())


def card_name(incident: Incident, to: str, ts: str) -> str:
    """Names the card of one message; see MessageSender."""
    return message_name(incident, to, f"details {ts}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldCard:
    """A card that is not posted yet. `until`: when it is, in seconds of a monotonic clock, unless other incidents share
    the message by then. `released`: whether to post it."""

    incident: Incident
    sent: SentMessage
    once: str
    until: float
    urgent: bool
    released: asyncio.Future[bool]


class CrashCardPoster:
    """Posts cards. `make`: makes them."""

    def __init__(self, poster: MessageSender, make: MakeCard = plain_card) -> None:
        self._poster = poster
        self._make = make
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, dict[str, _HeldCard]] = {}  # by destination, and by the id of the message

    def hold(
        self, incident: Incident, sent: SentMessage, destination: Destination, *, urgent: bool, until: float
    ) -> None:
        """Makes the card of this message, and holds it until then. `urgent`: see MessageSender."""
        held = _HeldCard(
            incident=incident,
            sent=sent,
            once=card_name(incident, destination.to, sent.ts),
            until=until,
            urgent=urgent,
            released=asyncio.get_running_loop().create_future(),
        )
        self.drop(destination.to, sent.ts)
        self._held.setdefault(destination.to, {})[sent.ts] = held
        if self._make is not plain_card:
            work = self._post(held, logs=destination.logs)
            task = tasks.start(f"crash_card {incident.id}", work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def held(self, to: str) -> Collection[str]:
        """Returns the ids of the messages at this destination whose cards are held."""
        return tuple(self._held.get(to, ()))

    def drop(self, to: str, ts: str) -> None:
        """Leaves out the card of this message, if it is held."""
        if (held := self._take(to, ts)) is not None and not held.released.done():
            held.released.set_result(False)

    def forget(self, ts: str) -> None:
        """Leaves out the card of a message that was deleted."""
        for to in list(self._held):
            self.drop(to, ts)

    async def post_due(self, to: str, ts: str, now: float) -> None:
        """Posts the card of this message, if it is held and its time has come: now if that takes no time, else soon.
        Raises DeliveryError; then it is still held."""
        held = self._held.get(to, {}).get(ts)
        if held is None or now < held.until:
            return
        if self._make is plain_card:
            card = await self._make(held.incident, held.sent.channel, logs=False)
            await self._poster.post(held.sent.channel, card, ts, once=held.once, urgent=held.urgent)
        elif not held.released.done():
            held.released.set_result(True)
        self._take(to, ts)

    def _take(self, to: str, ts: str) -> _HeldCard | None:
        at_destination = self._held.get(to, {})
        held = at_destination.pop(ts, None)
        if not at_destination:
            self._held.pop(to, None)
        return held

    async def post_notes(self, incident: Incident, post: PostedIncident, destination: Destination) -> None:
        """Posts what is new about an incident in the thread of its message. Raises DeliveryError."""
        if notes := incident.notes_after(post.noted):
            once = message_name(incident, destination.to, f"note {incident.noted}")
            await self._poster.post(post.channel, incident_message.note_entry(notes), post.ts, once=once)

    async def idle(self) -> None:
        """Waits until all cards are posted or left out."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Gives up the cards that are not posted yet."""
        self._held.clear()
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Gives up the cards that are not posted yet, and waits for the end of their tasks."""
        self.cancel()
        await self.idle()

    async def _post(self, held: _HeldCard, *, logs: bool) -> None:
        channel = held.sent.channel
        try:
            async with self._slots:
                card = await self._make(held.incident, channel, logs=logs)
            if await held.released:
                async with self._slots:
                    await self._poster.post(channel, card, held.sent.ts, once=held.once)
        except (errors.DeliveryError, errors.StoreError) as error:
            reason = error.full_message()
            log.warning(
                "The details of an incident could not be posted.",
                incident=held.incident.id,
                channel=channel,
                reason=reason,
            )
