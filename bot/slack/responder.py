"""Answers one SlackRequest: sends a note if the command takes long, shows the start and progress of a change, and sends
the reply.

Reads and refusals go to the requester alone. An accepted change is posted in the channel under the requester's name.
The message is edited when the change ends, and again when the started containers were checked. If the message cannot be
edited, one reply is sent after that check. A command that takes longer than a moment gets one “Working on it…” note. A
question's message is replaced by the outcome. `bot.slack.reply_delivery` decides how each message is sent. A failure to
send progress never disturbs the command itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Protocol

import msgspec
import structlog

from bot.slack import api_errors, live_message, reply_delivery
from bot.slack.decode_requests import SlackRequest, Source
from bot.slack.outbox import Outbox
from bot.slack.reply_delivery import PostedMessage
from bot.slack.send_queue import Priority
from core import errors, tasks
from core.model.replies import Ending, Reply, text_reply
from core.ports import ActionStarted, Progress, Watched

log = structlog.get_logger(__name__)
WORKING = "Working on it…"
WORKING_AFTER_SECONDS = 1.5
MAX_NAMES = 10
TICK_SECONDS = 3.0  # between two edits that only show that time goes by


class SlackResponder:
    """Answers one SlackRequest. Implements core.ports.Responder. Use it with `async with`, which ends its tasks."""

    def __init__(
        self,
        request: SlackRequest,
        line: str,
        outbox: Outbox,
        store: PostedMessageStore,
        *,
        working_after: float = WORKING_AFTER_SECONDS,
    ) -> None:
        self._request = request
        self._about = {"channel": request.channel, "user": request.user, "line": line}  # for the log
        self._outbox = outbox
        self._store = store
        self._working_after = working_after
        self._delivery = reply_delivery.ReplyDelivery(request, line, outbox)
        self._working_task: asyncio.Task[None] | None = None
        self._sending_note = False  # the working note is being sent and can no longer be cancelled
        self._started_task: asyncio.Task[None] | None = None
        self._progress_task: asyncio.Task[None] | None = None
        self._progress = live_message.ProgressMessage()
        self.watching_since: float | None = None  # when the outcome of the change was known, by the monotonic clock
        self._posted: PostedMessage | None = None
        self._hurry = asyncio.Event()  # the outcome or the reply is there
        self._progress_closed = False  # progress can no longer be shown anywhere
        self._posted_gone = False  # somebody has deleted the message

    def set_requester_name(self, name: str) -> None:
        self._delivery.requester_name = name

    # Not a task group: an Undeliverable must reach the caller as itself, and a failed note must not cancel the command.
    async def __aenter__(self) -> SlackResponder:
        if self._request.source is not Source.CLICK:
            self._working_task = tasks.start("slack_working", self._send_working_note())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._cancel_working_note()
        started = (self._working_task, self._started_task, self._progress_task)
        left = [task for task in started if task is not None and not task.done()]
        try:
            if left and kind is None:
                await asyncio.wait(left)
        finally:
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

    def started(self, action: ActionStarted) -> None:
        self._cancel_working_note()
        self._delivery.line = action.line  # for a confirmation: the line that was confirmed
        names = list(action.names)
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        text = f"{action.doing} {', '.join(names[:MAX_NAMES])}{more}…"
        self._progress.doing = text
        self._started_task = tasks.start_awaited("slack_started", self._show_started(text_reply(text)))

    def progress(self, progress: Progress) -> bool:
        """Shows the newest state as fast as Slack takes edits. Progress between two edits is in the next one."""
        if self._progress_closed:
            return False
        if progress.ticking and progress.read_only:
            return True  # the working note says it
        self._cancel_working_note()
        self._progress.add(progress)
        if self._progress_task is None or self._progress_task.done():
            self._progress_task = tasks.start("slack_progress", self._show_progress())
        return True

    def watching(self, watched: Watched) -> None:
        """Shows the outcome of a change, with a button that ends the watching."""
        if self.watching_since is None:
            self.watching_since = time.monotonic()
            self._hurry.set()
        self._progress.set_outcome(watched)
        if not self._progress_closed and (self._progress_task is None or self._progress_task.done()):
            self._progress_task = tasks.start("slack_progress", self._show_progress())

    def is_private(self) -> bool:
        return self._request.dm or self._delivery.channel_closed

    async def finish(self, reply: Reply) -> None:
        await self._working_note_done()
        self._progress.changed = False
        self._hurry.set()
        if self._progress_task is not None:
            if self._posted is None:  # if it is posted, the reply replaces an edit that still waits
                await asyncio.wait([self._progress_task])
            if self._progress.read_only:
                reply = replace(reply, blocks=(*self._progress.blocks(), *reply.blocks))
        if self._started_task is not None:
            await self._started_task
        if reply.secret or (reply.private and not self._request.dm):
            await self._delivery.to_requester(reply)
            if self._posted is None and not self._replaces_question(reply):
                return
            public = text_reply("The answer was sent to the person who asked, and to nobody else.")
            reply = public if reply.secret else replace(reply, blocks=reply.blocks[:1])
        await self._deliver(reply)

    async def _deliver(self, reply: Reply) -> None:
        send = self._delivery
        if self._posted_gone:
            await send.to_requester(reply)
        elif (posted := self._posted) is not None:
            await reply_delivery.first_open_way(
                {
                    "edited message": lambda: send.edit(posted, send.public(reply)),
                    "private message": lambda: send.to_requester(reply),
                }
            )
        elif self._replaces_question(reply):
            hinted = send.with_invite_hint(reply)
            await reply_delivery.first_open_way(
                {
                    "edited question": lambda: send.replace_question(hinted),
                    "private message": lambda: send.to_requester(hinted),
                }
            )
        elif reply.everyone or self._started_task is not None:
            await send.to_channel(reply)
        else:
            await send.to_requester(reply)

    def _replaces_question(self, reply: Reply) -> bool:
        """Whether the reply replaces the question's message. It does not if this one person was refused; if the
        question was answered before, because its message shows that outcome; or if the reply asks more people than can
        see the message."""
        if (
            not self._delivery.answers_question
            or reply.ending is Ending.REFUSED
            or (self._request.private and reply.everyone)
        ):
            return False
        return reply.ending is not Ending.USAGE or not self._delivery.question_answered()

    async def _show_started(self, reply: Reply) -> None:
        await self._working_note_done()
        try:
            self._posted = await self._delivery.show_started(reply)
        except errors.DeliveryError as error:
            self._delivery.channel_closed = getattr(error, "code", "") in reply_delivery.CHANNEL_CLOSED_ERRORS
            log.info("The start of a change could not be shown.", **self._about, reason=error.full_message())
            return
        except Exception:  # a bug here must not lose the reply
            log.exception("The start of a change could not be shown because of a bug.", action="reply", **self._about)
            return
        await self._store_posted(self._posted)
        await self._delivery.delete_private_question()

    async def _show_progress(self) -> None:
        try:
            if self._started_task is not None:
                await asyncio.wait([self._started_task])
            await self._working_note_done()
            while self._progress.changed:
                self._progress.changed = False
                outgoing = self._delivery.public(self._progress.reply())
                if self._posted is not None:
                    await self._delivery.edit(self._posted, outgoing, Priority.INFO)
                    if self._progress.ticking:
                        await self._pause()
                elif self._progress.read_only:
                    self._posted = await self._delivery.post_followed(outgoing, everyone=self._progress.everyone)
                    await self._store_posted(self._posted)
                else:
                    return
        except errors.DeliveryError as error:
            # No further attempts, once a second, if the message was deleted or the channel is closed.
            closed = {*reply_delivery.CHANNEL_CLOSED_ERRORS, *api_errors.MESSAGE_GONE_CODES}
            code = getattr(error, "code", "")
            self._progress_closed = self._posted is None or code in closed
            self._posted_gone = self._posted is not None and code in api_errors.MESSAGE_GONE_CODES
            log.info("The progress of a command could not be shown.", **self._about, reason=error.full_message())
        except Exception:  # a bug here must not lose the reply
            self._progress_closed = True
            log.exception(
                "The progress of a command could not be shown because of a bug.", action="reply", **self._about
            )

    async def _pause(self) -> None:
        """Waits before the next edit, unless it shows the outcome. Slack limits the number of all edits."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self._hurry.wait()
                self._hurry.clear()

    async def _store_posted(self, posted: PostedMessage) -> None:
        try:
            await self._store.set_posted(self._request.id, msgspec.json.encode(posted))
        except errors.StoreError as error:
            log.info("The channel and the id of a message were not stored.", **self._about, reason=error.full_message())

    async def _send_working_note(self) -> None:
        await asyncio.sleep(self._working_after)
        if self._outbox.api.recently_throttled():
            return  # the note would delay other people's replies
        self._sending_note = True
        try:
            await self._delivery.send_working_note(text_reply(WORKING))
        except errors.DeliveryError as error:
            log.info(
                "The note that a command is still running was not delivered.",
                **self._about,
                reason=error.full_message(),
            )
        except Exception:  # a bug here must not lose the reply
            log.exception(
                "The note that a command is still running was not delivered because of a bug.",
                action="reply",
                **self._about,
            )

    def _cancel_working_note(self) -> None:
        if self._working_task is not None and not self._sending_note:
            self._working_task.cancel()

    async def _working_note_done(self) -> None:
        """Cancels the working note, or waits until it is sent, so that the reply comes after it."""
        self._cancel_working_note()
        if self._working_task is not None:
            await asyncio.wait([self._working_task])


class PostedMessageStore(Protocol):
    """Stores where a request's message was posted, for the replica that must finish it if this process dies."""

    async def set_posted(self, id: str, where: bytes, /) -> bool: ...  # noqa: A002
