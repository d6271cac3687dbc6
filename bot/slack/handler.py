"""Handles Slack requests: runs each as a command of the person who sent it, and sends the reply.

Each request is one supervised task. If too many tasks run already, the request is rejected. Rejected requests wait in a
bounded queue and get a reply one by one. A rejected request is only counted and logged if the queue is full, or if it
still waits when the connection ends.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from bot.dispatch import unfinished_commands
from bot.dispatch.dispatcher import Dispatcher
from bot.slack import command_text, markup, render
from bot.slack.decode_requests import Ignored, SlackRequest, Source
from bot.slack.outbox import Outbox
from bot.slack.reply_delivery import PostedMessage
from bot.slack.responder import SlackResponder
from bot.slack.users import SlackUsers
from core import errors, unexpected_errors
from core.lazy_dataclass import dataclass
from core.metrics import Metrics
from core.model.actions import Risk
from core.model.invocation import Invocation, Place
from core.model.replies import Ending, Reply, Tone, text_reply
from core.ports import ActionStarted, Progress, Watched
from core.store.client import Store
from core.supervise import Supervisor
from core.text import command_line, redact

log = structlog.get_logger(__name__)
MAX_DURATION = timedelta(minutes=10)  # of one command until its actions start; each action has its own timeout
# Slack may deliver a message again for a day after a failure. The store remembers an invocation for an hour; an older
# message could run a second time, or long after it was meant.
MAX_DELAY_SECONDS = 30 * 60.0
MAX_REJECTED = 100  # rejected requests that wait for their answer
MAX_REJECTED_LINE = 200  # characters of the line of a person who may not use the bot, for the audit trail
NO_WORKING_NOTE = 3_600.0  # seconds: longer than any reply takes
_USER_MENTION = re.compile(r"<@([UW][A-Z0-9]+)>")


class SlackHandler:
    """Runs each Slack request as a command, in a task of its own."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        outbox: Outbox,
        users: SlackUsers,
        bot: command_text.BotName,
        store: Store,
        supervisor: Supervisor,
        metrics: Metrics,
    ) -> None:
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._users = users
        self._bot = bot
        self._store = store
        self._supervisor = supervisor
        self._metrics = metrics
        self._rejected: asyncio.Queue[tuple[SlackRequest, errors.Refused]] = asyncio.Queue(MAX_REJECTED)

    def accept(self, request: SlackRequest) -> None:
        """Starts the request's task and returns at once. Slack has the acknowledgement already."""
        self._metrics.slack_received_total.labels(request.source).inc()
        try:
            self._supervisor.start_oneshot(f"slack {request.source} {request.id}", self._answer(request))
        except errors.Refused as error:
            try:
                self._rejected.put_nowait((request, error))
            except asyncio.QueueFull:
                self.count_undelivered(request, error)

    def ignore(self, reason: Ignored) -> None:
        """Counts a payload that gets no answer."""
        self._metrics.slack_ignored_total.labels(reason).inc()

    async def _answer(self, request: SlackRequest) -> None:
        started = time.monotonic()
        lines, doubtful = self._readings(request)
        line = lines[0]
        now = datetime.now(UTC)
        place = Place(
            channel=request.channel,
            team=self._users.team,
            thread=request.thread,
            kind="dm" if request.dm else "channel",
            user=request.user,
            response_url=request.response_url,
        )
        async with SlackResponder(request, redact.redact(line), self._outbox, self._store) as slack_responder:
            responder = _CountingResponder(responder=slack_responder, handler=self, request=request)
            try:
                who = await self._users.identify(request)
            except errors.NotPermitted as error:
                rejected = self._users.identity_of_rejected(request)
                reply = await self._dispatcher.reject(rejected, place, line[:MAX_REJECTED_LINE], error)
                await responder.finish(reply)
            except errors.DeliveryError as error:
                text = f"Slack did not identify you, so nothing was done. {error.message} Try again in a moment."
                await responder.finish(text_reply(text, Tone.BAD, ending=Ending.REFUSED))
            else:
                slack_responder.set_requester_name(who.name)
                delay = now.timestamp() - request.sent_at if request.sent_at else 0.0
                if delay > MAX_DELAY_SECONDS:
                    await responder.finish(_too_late(delay))
                else:
                    deadline = now + MAX_DURATION
                    inv = Invocation(
                        id=request.id, who=who, line=line, place=place, at=now, deadline=deadline, verify=True
                    )
                    await self._dispatcher.answer(inv, responder, readings=lines if doubtful else ())
        # The time for which containers are watched after a change is not the time of its reply.
        replied = slack_responder.watching_since or time.monotonic()
        self._metrics.slack_reply_seconds.labels(request.source).observe(replied - started)

    def _readings(self, request: SlackRequest) -> tuple[tuple[str, ...], bool]:
        """The command lines that the request may mean, with the identities of mentioned people; and whether the person
        must be asked. That is so if there are several valid commands, or one with words that are struck through, and
        one of them changes something. A button holds a command line already."""
        if request.source is Source.CLICK:
            return (request.text,), False
        readings = [
            _USER_MENTION.sub(lambda match: self._users.id_of(match[1]), line)[: command_line.MAX_LINE_LENGTH + 1]
            for line in command_text.find_possible_commands(request.text, request.rich_text, self._bot)
        ]
        if len(readings) == 1:
            return (readings[0],), False
        valid = [(line, parsed) for line in readings if (parsed := self._dispatcher.parse(line))]
        commands = {parsed.line: parsed.command.risk for _, parsed in valid}
        changes = any(risk is not Risk.READ for risk in commands.values())
        if changes and (len(commands) > 1 or command_text.is_struck_through(request.text, request.rich_text)):
            return tuple(commands), True
        return (valid[0][0] if valid else readings[0],), False

    # ── rejected requests ────────────────────────────────────────────────────────────────────────────────────────

    async def answer_rejected(self) -> None:
        """Answers rejected requests, without end. When it is cancelled, it counts those that still wait."""
        try:
            while True:
                request, error = await self._rejected.get()
                try:
                    await self._answer_rejected(request, error)
                finally:
                    self._rejected.task_done()
        finally:
            while not self._rejected.empty():
                self.count_undelivered(*self._rejected.get_nowait())
                self._rejected.task_done()

    async def rejected_answered(self) -> None:
        """Returns once no rejected request waits. Call it before stopping, while `answer_rejected` runs."""
        await self._rejected.join()

    async def _answer_rejected(self, request: SlackRequest, error: errors.Refused) -> None:
        try:
            async with SlackResponder(
                request, "", self._outbox, self._store, working_after=NO_WORKING_NOTE
            ) as responder:
                await responder.finish(text_reply(error.full_message(), Tone.WARN, ending=Ending.REFUSED))
        except errors.DeliveryError as failed:
            self.count_undelivered(request, failed)
        except asyncio.CancelledError:
            self.count_undelivered(request, error)
            raise
        except Exception:
            log.exception("The answer to a rejected request failed because of a bug.", action="reply")
            self.count_undelivered(request, error)

    # ── commands of a process that died ──────────────────────────────────────────────────────────────────────────

    async def report_unfinished(self, unfinished: unfinished_commands.Unfinished) -> None:
        """Reports the outcome of a command whose process died: edits the message that its channel saw, else sends the
        report to the requester alone."""
        place = unfinished.place
        reply = redact.redact_reply(unfinished.reply)
        request = SlackRequest(
            id=unfinished.id,
            source=Source.SLASH if place.response_url else Source.MENTION,
            user=place.user,
            teams=frozenset(),
            text=unfinished.line,
            channel=place.channel,
            dm=place.kind == "dm",
            thread=place.thread,
            response_url=place.response_url,
        )
        head = f"{markup.bold(unfinished.name or place.user)} · {markup.code(unfinished.line)}"
        try:
            if unfinished.posted:
                try:
                    posted = msgspec.json.decode(unfinished.posted, type=PostedMessage)
                    await self._outbox.edit(
                        posted.channel,
                        posted.ts,
                        lambda table_format: render.render_message(
                            reply, table_format=table_format, head=head, line=unfinished.line
                        ),
                        thread=posted.thread,
                    )
                except (errors.DeliveryError, msgspec.MsgspecError) as error:
                    log.info(
                        "The message of an unfinished command could not be edited.",
                        channel=place.channel,
                        line=unfinished.line,
                        reason=str(error),
                    )
                else:
                    return
            async with SlackResponder(
                request, unfinished.line, self._outbox, self._store, working_after=NO_WORKING_NOTE
            ) as responder:
                await responder.finish(reply)
        except errors.DeliveryError as error:
            self.count_undelivered(request, error)

    def count_undelivered(self, request: SlackRequest, error: errors.QuarterdeckError) -> None:
        self._metrics.slack_undelivered_total.inc()
        log.error(
            "A reply was not delivered.",
            action="reply",
            source=request.source,
            user=request.user,
            channel=request.channel,
            line=request.text,
            reason=error.full_message(),
        )


def _too_late(delay: float) -> Reply:
    minutes = round(delay / 60)
    text = (
        f"Slack delivered this message only now, {minutes} minutes after it was sent, so nothing was done. "
        "If it was not answered before, send it again."
    )
    return text_reply(text, Tone.WARN, ending=Ending.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CountingResponder:
    """A SlackResponder that counts and logs an undeliverable reply, and reports a bug in rendering to the requester.
    It raises neither."""

    responder: SlackResponder
    handler: SlackHandler
    request: SlackRequest

    def started(self, action: ActionStarted) -> None:
        self.responder.started(action)

    def progress(self, progress: Progress) -> bool:
        return self.responder.progress(progress)

    def watching(self, watched: Watched) -> None:
        self.responder.watching(watched)

    def is_private(self) -> bool:
        return self.responder.is_private()

    async def finish(self, reply: Reply) -> None:
        try:
            try:
                await self.responder.finish(reply)
            except errors.DeliveryError:
                raise
            except Exception:
                reference = secrets.token_hex(4)
                log.exception(
                    "A reply could not be rendered because of a bug.",
                    action="reply",
                    line=self.request.text,
                    ref=reference,
                )
                text = f"The command ended as {reply.ending}, but its result cannot be shown."
                text += f" Internal error, reference {reference}. {unexpected_errors.HINT}"
                await self.responder.finish(text_reply(text, Tone.BAD, ending=Ending.ERROR))
        except errors.DeliveryError as error:
            self.handler.count_undelivered(self.request, error)
