"""Delivers the messages of one SlackRequest: to the channel, or to the requester alone.

There are several ways to deliver a message. If one fails, because the bot is not in the channel or the response URL is
used up, the next one is tried. The last way is a direct message. A reply is undeliverable only if all ways fail. A
click's response URL can replace or delete the clicked message. A slash command's response URL can only add messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import msgspec
import structlog

from bot.slack import markup, render
from bot.slack.decode_requests import SlackRequest, Source
from bot.slack.outbox import Outbox, OutgoingMessage
from bot.slack.send_queue import Priority
from core import errors
from core.model.replies import Reply, Text, text_reply

log = structlog.get_logger(__name__)
SHOWN_IN_DM = "The output appears in your direct messages with me. The button there stops it."
# Where the file of a message is: everybody in a channel sees the channel's files.
IN_CHANNEL, IN_DIRECT_MESSAGES = "in this channel", "in our direct messages"
INVITE_HINT = (
    "Only you can see this, because I am not in this channel. Invite me with /invite and everybody here sees the "
    "changes."
)
# Slack's error codes for a channel the bot cannot post in.
CHANNEL_CLOSED_ERRORS = frozenset(
    {"not_in_channel", "channel_not_found", "is_archived", "restricted_action", "no_permission"}
)


class ReplyDelivery:
    """`line`: the command line that messages in the channel show. `requester_name`: the name they show, empty until it
    is known; not a mention, so that Slack does not notify the requester of their own command. `working_note`: the
    “Working on it…” message, if it can be edited. `channel_closed`: Slack has refused a post to the channel."""

    def __init__(self, request: SlackRequest, line: str, outbox: Outbox) -> None:
        self.line = line
        self.requester_name = ""
        self.working_note: PostedMessage | None = None
        self.channel_closed = False
        self._request = request
        self._outbox = outbox
        self.answers_question = request.source is Source.CLICK and line.split(" ", 1)[0] in ("confirm", "cancel")
        """The request confirms or cancels a question, so the outcome belongs where the question is."""

    # ── to the channel ───────────────────────────────────────────────────────────────────────────────────────────

    def public(self, reply: Reply) -> OutgoingMessage:
        """The reply under the requester's name and command line."""
        head = f"{markup.bold(self.requester_name or self._request.user)} · {markup.code(self.line)}"
        line = self.line
        return lambda table_format: render.render_message(
            reply, table_format=table_format, head=head, line=line, file_place=IN_CHANNEL
        )

    async def show_started(self, reply: Reply) -> PostedMessage:
        """Posts that a change has started, or edits the question or the working note to say so."""
        request, outgoing = self._request, self.public(reply)
        posted = self.working_note
        if self.answers_question and not request.private:
            posted = PostedMessage(request.channel, request.message, request.thread)
        if posted is None:
            return await self.post(outgoing, request.thread)
        await self.edit(posted, outgoing)
        return posted

    async def to_channel(self, reply: Reply) -> None:
        request = self._request
        if not self.channel_closed:
            try:
                if self.working_note is not None:
                    await self.edit(self.working_note, self.public(reply))
                else:
                    await self._outbox.post(request.channel, self.public(reply), thread=request.thread)
            except errors.Undeliverable as error:
                self.channel_closed = error.code in CHANNEL_CLOSED_ERRORS
                log.info(
                    "Slack refused a message to the channel.", channel=request.channel, reason=error.full_message()
                )
            else:
                await self.delete_private_question()
                return
        await self.to_requester(self.with_invite_hint(reply))

    async def post_followed(self, outgoing: OutgoingMessage, *, everyone: bool) -> PostedMessage:
        """Posts the message of a followed log, which must be editable. It goes into the thread of a mention, else into
        the requester's direct messages, or into the channel if `everyone` shall see it."""
        request = self._request
        if request.dm and not request.response_url:
            return await self.post(outgoing, request.thread)
        if request.source is Source.MENTION or everyone:
            thread = request.thread or (request.message if request.source is Source.MENTION else None)
            try:
                return await self.post(outgoing, thread)
            except errors.Undeliverable as error:
                if error.code not in CHANNEL_CLOSED_ERRORS:
                    raise
                log.info(
                    "Slack refused a message to the channel.", channel=request.channel, reason=error.full_message()
                )
        posted = PostedMessage(*await self._outbox.post_direct(request.user, outgoing))
        if request.response_url and not request.dm:
            try:
                await self._outbox.respond(
                    request.response_url, request.user, self._private(text_reply(SHOWN_IN_DM)), replace=False
                )
            except errors.DeliveryError as error:
                log.info(
                    "The note that the reply is in a direct message was not delivered.",
                    channel=request.channel,
                    user=request.user,
                    reason=error.full_message(),
                )
        return posted

    async def post(self, outgoing: OutgoingMessage, thread: str | None) -> PostedMessage:
        channel = self._request.channel
        return PostedMessage(channel, await self._outbox.post(channel, outgoing, thread=thread), thread)

    async def edit(self, posted: PostedMessage, outgoing: OutgoingMessage, priority: Priority = Priority.REPLY) -> None:
        await self._outbox.edit(posted.channel, posted.ts, outgoing, thread=posted.thread, priority=priority)

    def with_invite_hint(self, reply: Reply) -> Reply:
        """The reply with INVITE_HINT, if the channel should have seen it."""
        hint = (Text(text=INVITE_HINT),) if self.channel_closed and not self._request.dm else ()
        return replace(reply, blocks=(*reply.blocks, *hint))

    # ── to the requester alone ───────────────────────────────────────────────────────────────────────────────────

    async def to_requester(self, reply: Reply) -> None:
        request, outgoing = self._request, self._private(reply)
        ways: dict[str, Callable[[], Awaitable[object]]] = {}
        if (note := self.working_note) is not None:
            ways["edited message"] = lambda: self.edit(note, outgoing)
        if request.dm and not request.response_url:
            ways["message"] = lambda: self._outbox.post(request.channel, outgoing, thread=request.thread)
        if request.response_url:
            ways["response_url"] = lambda: self._outbox.respond(
                request.response_url, request.user, outgoing, replace=False
            )
        if not request.dm:
            ways["ephemeral message"] = lambda: self._outbox.post_ephemeral(
                request.channel, request.user, outgoing, thread=request.thread
            )
        ways["direct message"] = lambda: self._outbox.post_direct(request.user, outgoing)
        await first_open_way(ways)

    def _private(self, reply: Reply) -> OutgoingMessage:
        line = self.line
        return lambda table_format: render.render_message(
            reply, table_format=table_format, line=line, file_place=IN_DIRECT_MESSAGES
        )

    async def send_working_note(self, reply: Reply) -> None:
        request, outgoing = self._request, self._private(reply)
        if request.response_url:
            # This note stays: a slash command's response URL cannot change an earlier message.
            await self._outbox.respond(request.response_url, request.user, outgoing, replace=False)
        elif request.dm:
            self.working_note = await self.post(outgoing, request.thread)
        else:
            await self._outbox.post_ephemeral(request.channel, request.user, outgoing, thread=request.thread)

    # ── the question's own message ───────────────────────────────────────────────────────────────────────────────

    async def replace_question(self, reply: Reply) -> None:
        """Replaces the question, and its buttons, with the reply."""
        request = self._request
        if request.private:
            self._outbox.mark_changed(request.channel, request.message)
            await self._outbox.respond(request.response_url, request.user, self._private(reply), replace=True)
        else:
            await self.edit(PostedMessage(request.channel, request.message, request.thread), self.public(reply))

    async def delete_private_question(self) -> None:
        """Deletes a question that only the requester saw, once the channel shows the outcome."""
        request = self._request
        if self.answers_question and request.private and request.response_url:
            self._outbox.mark_changed(request.channel, request.message)
            try:
                await self._outbox.delete_original(request.response_url)
            except errors.DeliveryError as error:
                log.debug(
                    "A question that only the requester sees was not deleted.",
                    channel=request.channel,
                    user=request.user,
                    reason=error.full_message(),
                )

    def question_answered(self) -> bool:
        """Whether the question's message was changed before, so that it shows an earlier outcome."""
        return self._outbox.has_changed(self._request.channel, self._request.message)


class PostedMessage(msgspec.Struct, frozen=True):
    """A message the bot has posted: its channel and ts, and the ts of its thread."""

    channel: str
    ts: str
    thread: str | None = None


async def first_open_way(ways: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
    """Tries the ways in turn until one works. `ways`: each by its name, for the log. Raises the Undeliverable of the
    last one."""
    for number, (name, way) in enumerate(ways.items(), start=1):
        try:
            await way()
        except errors.DeliveryError as error:
            if number == len(ways):
                raise
            log.info(
                "Slack did not accept a message. Quarterdeck tried another way to deliver it.",
                way=name,
                reason=error.full_message(),
            )
        else:
            return
