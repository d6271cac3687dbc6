"""Slack as a place to talk: what was heard walks the one road, what comes back is said there.

One supervised task per line; nothing is dropped in silence: a line that comes when too much is under way is told so,
from a bounded queue, and what does not even fit there, or is left there when the connection ends, is counted and
logged.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from bot.dispatch import recovery
from bot.dispatch.dispatcher import Dispatcher
from bot.slack import command_text, markup, render
from bot.slack.outbox import Outbox
from bot.slack.requests import SlackRequest, Source
from bot.slack.responder import Posted, SlackResponder
from bot.slack.users import People
from core import errors
from core.metrics import Metrics
from core.model.identity import Invocation, Place
from core.model.replies import Ending, Reply, Tone, text_reply
from core.ports import ActionStarted, Progress
from core.store.client import Store
from core.supervise import Supervisor
from core.text import redact

log = structlog.get_logger(__name__)
PATIENCE = timedelta(minutes=10)  # an upper bound; each action has its own
MOST_SORRY = 100
PERSON = re.compile(r"<@([UW][A-Z0-9]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """A talk whose failure to reach anybody is counted too, and whose bugs are told and do not get out."""

    talk: SlackResponder
    surface: SlackHandler
    heard: SlackRequest

    def started(self, beginning: ActionStarted) -> None:
        self.talk.started(beginning)

    def progress(self, going: Progress) -> bool:
        return self.talk.progress(going)

    async def finish(self, reply: Reply) -> None:
        try:
            try:
                await self.talk.finish(reply)
            except errors.DeliveryError:
                raise
            except Exception:
                reference = secrets.token_hex(4)
                log.exception("a reply could not be drawn because of a bug", action="tell", ref=reference)
                text = f"It ended as {reply.ending}, but what came out cannot be shown: internal error, reference "
                await self.talk.finish(text_reply(f"{text}{reference}.", Tone.BAD, ending=Ending.ERROR))
        except errors.DeliveryError as error:
            self.surface.undelivered(self.heard, error)


class SlackHandler:
    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        outbox: Outbox,
        people: People,
        bot_user: str,
        store: Store,
        supervisor: Supervisor,
        metrics: Metrics,
    ) -> None:
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._people = people
        self._bot_user = bot_user
        self._store = store
        self._supervisor = supervisor
        self._metrics = metrics
        self._sorry: asyncio.Queue[tuple[SlackRequest, errors.Refused]] = asyncio.Queue(MOST_SORRY)

    def hear(self, heard: SlackRequest) -> None:
        """Returns at once; called after the acknowledgement."""
        self._metrics.slack_received_total.labels(heard.way).inc()
        try:
            self._supervisor.start_oneshot(f"slack {heard.way} {heard.id}", self._answer(heard))
        except errors.Refused as error:
            try:
                self._sorry.put_nowait((heard, error))
            except asyncio.QueueFull:
                self.undelivered(heard, error)

    async def apologise(self) -> None:
        """Endless: tells those whose line could not even be taken up. What is left when it is cancelled is counted."""
        try:
            while True:
                heard, error = await self._sorry.get()
                try:
                    await self._say_sorry(heard, error)
                finally:
                    self._sorry.task_done()
        finally:
            while not self._sorry.empty():
                self.undelivered(*self._sorry.get_nowait())
                self._sorry.task_done()

    async def apologised(self) -> None:
        """Returns once all that wait have been told; for the end, with `apologise` still running."""
        await self._sorry.join()

    async def _say_sorry(self, heard: SlackRequest, error: errors.Refused) -> None:
        try:
            async with SlackResponder(heard, "", self._outbox, self._store, patience=3600) as talk:
                await talk.finish(text_reply(error.full_message(), Tone.WARN, ending=Ending.REFUSED))
        except errors.DeliveryError as failed:
            self.undelivered(heard, failed)
        except asyncio.CancelledError:
            self.undelivered(heard, error)
            raise
        except Exception:
            log.exception("an apology failed because of a bug", action="tell")
            self.undelivered(heard, error)

    async def tell(self, lost: recovery.Unfinished) -> None:
        """What a process that died left behind, to whoever waits for it: where something was said already, else to them
        alone."""
        place = lost.place
        reply = redact.redact_reply(lost.reply)
        heard = SlackRequest(
            id=lost.id,
            way=Source.SLASH if place.response_url else Source.MENTION,
            user=place.user,
            teams=frozenset(),
            text=lost.line,
            channel=place.channel,
            dm=place.kind == "dm",
            thread=place.thread,
            response_url=place.response_url,
        )
        head = f"{markup.bold(lost.name or place.user)} · {markup.code(lost.line)}"
        try:
            if lost.posted:
                try:
                    where = msgspec.json.decode(lost.posted, type=Posted)
                    await self._outbox.edit(
                        where.channel,
                        where.ts,
                        lambda shape: render.message(reply, shape=shape, head=head),
                        thread=where.thread,
                    )
                except (errors.DeliveryError, msgspec.MsgspecError) as error:
                    log.info("a message of before could not be edited", reason=str(error))
                else:
                    return
            async with SlackResponder(heard, lost.line, self._outbox, self._store, patience=3600) as talk:
                await talk.finish(reply)
        except errors.DeliveryError as error:
            self.undelivered(heard, error)

    async def _answer(self, heard: SlackRequest) -> None:
        began = time.monotonic()
        line = self._line(heard)
        now = datetime.now(UTC)
        place = Place(
            channel=heard.channel,
            team=self._people.team,
            thread=heard.thread,
            kind="dm" if heard.dm else "channel",
            user=heard.user,
            response_url=heard.response_url,
        )
        async with SlackResponder(heard, redact.redact(line), self._outbox, self._store) as way_back:
            talk = _Counted(talk=way_back, surface=self, heard=heard)
            try:
                who = await self._people.identify(heard)
            except errors.NotPermitted as error:
                stranger = self._people.stranger(heard)
                await talk.finish(await self._dispatcher.reject(stranger, place, line, error))
            except errors.DeliveryError as error:
                text = f"Slack does not say who you are, so nothing was done. {error.message} Try again in a moment."
                await talk.finish(text_reply(text, Tone.BAD, ending=Ending.REFUSED))
            else:
                way_back.name = who.name
                inv = Invocation(id=heard.id, who=who, line=line, place=place, at=now, deadline=now + PATIENCE)
                await self._dispatcher.answer(inv, talk)
        self._metrics.slack_reply_seconds.labels(heard.way).observe(time.monotonic() - began)

    def _line(self, heard: SlackRequest) -> str:
        """The words as the grammar reads them, mentions as the identities meant. A button's line is ours already."""
        if heard.way is Source.CLICK:
            return heard.text
        said = command_text.line(heard.text, self._bot_user)
        return PERSON.sub(lambda match: self._people.id_of(match[1]), said)

    def undelivered(self, heard: SlackRequest, error: errors.QuarterdeckError) -> None:
        self._metrics.slack_undelivered_total.inc()
        log.error(
            "a reply was not delivered",
            action="tell",
            way=heard.way,
            user=heard.user,
            channel=heard.channel,
            reason=error.full_message(),
        )
