"""Posts in the thread of an incident: first its crash card, without letting other incidents wait, later what is new.

The evidence of a card may take seconds to collect. So each card is made in a task of its own, a few at once. A card
that cannot be posted is logged and left out: the message itself has been posted.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from bot.notify import crash_card, incident_message
from bot.notify.message_sender import MessageSender, SentMessage, message_name
from core import errors
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


class CrashCardPoster:
    """Posts cards. `make`: makes them."""

    def __init__(self, poster: MessageSender, make: MakeCard = plain_card) -> None:
        self._poster = poster
        self._make = make
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def post(self, incident: Incident, sent: SentMessage, destination: Destination, *, urgent: bool) -> None:
        """Posts the card of this message: now if that takes no time, else soon. `urgent`: see MessageSender."""
        once, logs = message_name(incident, destination.to, f"details {sent.ts}"), destination.logs
        if self._make is plain_card:
            card = await self._make(incident, sent.channel, logs=logs)
            await self._poster.post(sent.channel, card, sent.ts, once=once, urgent=urgent)
            return
        work = self._post(incident, sent, logs=logs, once=once)
        task = asyncio.get_running_loop().create_task(work, name=f"crash card {incident.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def post_notes(self, incident: Incident, post: PostedIncident, destination: Destination) -> None:
        """Posts what is new about an incident in the thread of its message. Raises DeliveryError."""
        if notes := incident.notes_after(post.noted):
            once = message_name(incident, destination.to, f"note {incident.noted}")
            await self._poster.post(post.channel, incident_message.note_entry(notes), post.ts, once=once)

    async def idle(self) -> None:
        """Waits until all cards are posted."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Gives up the cards that are not posted yet."""
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Gives up the cards that are not posted yet, and waits for the end of their tasks."""
        self.cancel()
        await self.idle()

    async def _post(self, incident: Incident, sent: SentMessage, *, logs: bool, once: str) -> None:
        async with self._slots:
            try:
                card = await self._make(incident, sent.channel, logs=logs)
                await self._poster.post(sent.channel, card, sent.ts, once=once)
            except (errors.DeliveryError, errors.StoreError) as error:
                reason = error.full_message()
                log.warning("The details of an incident were not posted.", channel=sent.channel, reason=reason)
