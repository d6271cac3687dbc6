"""One line's way back in Slack: to the asker alone, or to the channel, as calmly as it goes.

Reads and refusals answer the asker alone. A change that was accepted is posted in the channel under the asker's name
and edited in place from “restarting…” to its outcome. Whatever takes longer than a moment says once that it is being
worked on. A question's message turns into what became of it. Where one way is closed (the bot is not in the channel,
the response URL is used up) the next is taken, down to a direct message; only when all are closed is a reply
undeliverable. What is said on the way never disturbs the change it speaks of.

Only a click's response URL stands for a message, its own: a slash command's can add, not replace or take away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import msgspec
import structlog

from bot.slack import live_message, markup, render
from bot.slack.outbox import Outbox, OutgoingMessage
from bot.slack.requests import SlackRequest, Source
from core import errors
from core.model.replies import Ending, Reply, Text, text_reply
from core.ports import ActionStarted, Progress

log = structlog.get_logger(__name__)
PATIENCE = 1.5  # seconds before “working on it”
MOST_NAMES = 10


class Posted(msgspec.Struct, frozen=True):
    """A message of ours: its channel and ts, and the thread it is in."""

    channel: str
    ts: str
    thread: str | None = None


class Memory(Protocol):
    async def set_posted(self, id: str, where: bytes, /) -> bool: ...  # noqa: A002


class SlackResponder:
    """The core.ports.Responder of one SlackRequest. Use as `async with`: on leaving, nothing of it is left
    running."""

    def __init__(
        self, heard: SlackRequest, line: str, outbox: Outbox, memory: Memory, *, patience: float = PATIENCE
    ) -> None:
        self._heard = heard
        self._line = line
        self.name = ""
        """How people know the asker, once that is known. Not a mention: who gave a command need not be woken by it."""
        self._outbox = outbox
        self._memory = memory
        self._patience = patience
        self._working: asyncio.Task[None] | None = None
        self._posting: asyncio.Task[None] | None = None
        self._posted: Posted | None = None
        self._outside = False  # the channel is closed to us
        self._sending = False  # “working on it” is on its way and cannot be called back
        self._said_working: Posted | None = None
        self._tail = live_message.ProgressMessage()
        self._telling: asyncio.Task[None] | None = None
        self._deaf = False  # what goes on can be said nowhere any more
        # An answer to a question: what becomes of it is said where it was asked.
        self._question = heard.way is Source.CLICK and line.split(" ", 1)[0] in ("confirm", "cancel")

    # Not a task group: an Undeliverable has to come out as what it is, and no note may cancel whom it is about.
    async def __aenter__(self) -> SlackResponder:
        if self._heard.way is not Source.CLICK:
            self._working = asyncio.create_task(self._say_working(), name="slack working")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._quiet()
        tasks = (self._working, self._posting, self._telling)
        left = [task for task in tasks if task is not None and not task.done()]
        try:
            if left and kind is None:
                await asyncio.wait(left)
        finally:
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

    def started(self, beginning: ActionStarted) -> None:
        self._quiet()
        self._line = beginning.line  # of an answer to a question: what was asked
        names = list(beginning.names)
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        shown = ", ".join(names[:MOST_NAMES]) + more
        self._posting = asyncio.create_task(self._post_begun(f"{beginning.doing} {shown}…"), name="slack begun")

    def progress(self, word: Progress) -> bool:
        """The newest is said as fast as Slack takes edits; what comes meanwhile is in the next one."""
        if self._deaf:
            return False
        self._quiet()
        self._tail.add(word)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_going(), name="slack going")
        return True

    async def finish(self, reply: Reply) -> None:
        await self._settled()
        self._tail.fresh = False
        if self._telling is not None:
            if self._posted is None:  # else the final word takes the place of an edit that still waits
                await asyncio.wait([self._telling])
            if self._tail.follows:
                reply = replace(reply, blocks=(*self._tail.blocks(), *reply.blocks))
        if self._posting is not None:
            await self._posting
        if reply.secret:
            await self._private(reply)
            if self._posted is None and not self._turns(reply):
                return
            reply = text_reply("The answer went to whoever asked, and to nobody else.")
        if (shown := self._posted) is not None:
            await self._first([lambda: self._edit(shown, self._public(reply)), lambda: self._private(reply)])
        elif self._turns(reply):
            reply = self._hinted(reply)
            await self._first([lambda: self._turn_question(reply), lambda: self._private(reply)])
        elif reply.everyone or self._posting is not None:
            await self._say_to_all(reply)
        else:
            await self._private(reply)

    def _turns(self, reply: Reply) -> bool:
        """Whether the question's message becomes this reply. Not when it was refused to this one clicker; not when it
        was answered before, as what became of it stands there; not when it has to be asked of more people than see
        it."""
        heard = self._heard
        if not self._question or reply.ending is Ending.REFUSED or (heard.private and reply.everyone):
            return False
        return reply.ending is not Ending.USAGE or not self._outbox.has_changed(heard.channel, heard.message)

    # ── to everybody ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _post_begun(self, doing: str) -> None:
        heard, letter = self._heard, self._public(text_reply(doing))
        await self._settled()
        try:
            if (known := self._known_message()) is not None:
                await self._edit(known, letter)
                self._posted = known
            else:
                self._posted = await self._post(letter, heard.thread)
        except errors.DeliveryError as error:
            self._outside = getattr(error, "code", "") in OUTSIDE
            log.info("a change began and the channel could not be told so", reason=error.full_message())
            return
        except Exception:  # a bug in saying it is no reason to lose the reply
            log.exception("a change began and could not be said", action="tell")
            return
        await self._note(self._posted)
        await self._tidy()

    async def _note(self, posted: Posted) -> None:
        """For whoever has to end this in our place."""
        try:
            await self._memory.set_posted(self._heard.id, msgspec.json.encode(posted))
        except errors.StoreError as error:
            log.info("where something was said is not kept", reason=error.full_message())

    async def _tell_going(self) -> None:
        try:
            if self._posting is not None:
                await asyncio.wait([self._posting])
            await self._settled()
            while self._tail.fresh:
                self._tail.fresh = False
                letter = self._public(self._tail.reply())
                if self._posted is not None:
                    await self._edit(self._posted, letter)
                elif self._tail.follows:
                    self._posted = await self._post_following(letter)
                    await self._note(self._posted)
                else:
                    return
        except errors.DeliveryError as error:
            # A message that somebody deleted, or a channel that is closed to us, is not tried every second.
            self._deaf = self._posted is None or getattr(error, "code", "") in {*OUTSIDE, *GONE}
            log.info("what goes on could not be told", reason=error.full_message())
        except Exception:  # see _post_begun
            self._deaf = True
            log.exception("what goes on could not be said", action="tell")

    async def _post_following(self, letter: OutgoingMessage) -> Posted:
        """A followed log is a message that changes: in the thread of who asked by mention, else where the asker alone
        sees it, unless all shall."""
        heard = self._heard
        if heard.dm and not heard.response_url:
            return await self._post(letter, heard.thread)
        if heard.way is Source.MENTION or self._tail.everyone:
            thread = heard.thread or (heard.message if heard.way is Source.MENTION else None)
            try:
                return await self._post(letter, thread)
            except errors.Undeliverable as error:
                if error.code not in OUTSIDE:
                    raise
                log.info("the channel could not be told", reason=error.full_message())
        posted = Posted(*await self._outbox.direct(heard.user, letter))
        if heard.response_url and not heard.dm:
            try:
                note = text_reply(THERE)
                await self._outbox.respond(
                    heard.response_url, heard.user, lambda shape: render.message(note, shape=shape), replace=False
                )
            except errors.DeliveryError as error:
                log.info("the asker could not be told where it is shown", reason=error.full_message())
        return posted

    def _known_message(self) -> Posted | None:
        """A message of ours that already stands where the change should be shown."""
        if self._question and not self._heard.private:
            return Posted(self._heard.channel, self._heard.message, self._heard.thread)
        return self._said_working

    async def _say_to_all(self, reply: Reply) -> None:
        heard = self._heard
        if not self._outside:
            try:
                if self._said_working is not None:
                    await self._edit(self._said_working, self._public(reply))
                else:
                    await self._outbox.post(heard.channel, self._public(reply), thread=heard.thread)
            except errors.Undeliverable as error:
                self._outside = error.code in OUTSIDE
                log.info("the channel could not be told", reason=error.full_message())
            else:
                await self._tidy()
                return
        await self._private(self._hinted(reply))

    def _hinted(self, reply: Reply) -> Reply:
        """With the cure, where the channel should have seen it."""
        hint = (Text(text=NOT_HERE),) if self._outside and not self._heard.dm else ()
        return replace(reply, blocks=(*reply.blocks, *hint))

    async def _post(self, letter: OutgoingMessage, thread: str | None) -> Posted:
        channel = self._heard.channel
        return Posted(channel, await self._outbox.post(channel, letter, thread=thread), thread)

    async def _edit(self, posted: Posted, letter: OutgoingMessage) -> None:
        await self._outbox.edit(posted.channel, posted.ts, letter, thread=posted.thread)

    def _public(self, reply: Reply) -> OutgoingMessage:
        head = f"{markup.bold(self.name or self._heard.user)} · {markup.code(self._line)}"
        return lambda shape: render.message(reply, shape=shape, head=head)

    # ── to the asker alone ───────────────────────────────────────────────────────────────────────────────────────

    async def _private(self, reply: Reply) -> None:
        heard = self._heard

        def letter(shape: render.Shape) -> render.Message:
            return render.message(reply, shape=shape)

        ways: list[Callable[[], Awaitable[object]]] = []
        if self._said_working is not None:
            said = self._said_working
            ways.append(lambda: self._edit(said, letter))
        if heard.dm and not heard.response_url:
            ways.append(lambda: self._outbox.post(heard.channel, letter, thread=heard.thread))
        if heard.response_url:
            ways.append(lambda: self._outbox.respond(heard.response_url, heard.user, letter, replace=False))
        if not heard.dm:
            ways.append(lambda: self._outbox.whisper(heard.channel, heard.user, letter, thread=heard.thread))
        ways.append(lambda: self._outbox.direct(heard.user, letter))
        await self._first(ways)

    async def _turn_question(self, reply: Reply) -> None:
        """The question's own message becomes the answer, its buttons gone."""
        heard, letter = self._heard, self._public(reply)
        if heard.private:
            self._outbox.note_change(heard.channel, heard.message)
            await self._outbox.respond(
                heard.response_url, heard.user, lambda shape: render.message(reply, shape=shape), replace=True
            )
        else:
            await self._edit(Posted(heard.channel, heard.message, heard.thread), letter)

    async def _say_working(self) -> None:
        await asyncio.sleep(self._patience)
        if not self._outbox.calls.are_calm():
            return  # it would stand in line with the answers of others
        self._sending = True
        heard, note = self._heard, text_reply(WORKING)

        def letter(shape: render.Shape) -> render.Message:
            return render.message(note, shape=shape)

        try:
            if heard.response_url:
                # It stays: a slash command's URL cannot change what was said through it.
                await self._outbox.respond(heard.response_url, heard.user, letter, replace=False)
            elif heard.dm:
                self._said_working = await self._post(letter, heard.thread)
            else:
                await self._outbox.whisper(heard.channel, heard.user, letter, thread=heard.thread)
        except errors.DeliveryError as error:
            log.info("the asker could not be told that it takes a moment", reason=error.full_message())
        except Exception:  # see _post_begun
            log.exception("the asker could not be told that it takes a moment", action="tell")

    async def _tidy(self) -> None:
        """Takes away the question that only the asker saw, once the channel shows what became of it."""
        heard = self._heard
        if self._question and heard.private and heard.response_url:
            self._outbox.note_change(heard.channel, heard.message)
            try:
                await self._outbox.take_away(heard.response_url)
            except errors.DeliveryError as error:
                log.debug("a private note stays behind", reason=error.full_message())

    def _quiet(self) -> None:
        if self._working is not None and not self._sending:
            self._working.cancel()

    async def _settled(self) -> None:
        """Nothing is said any more that the final word has to follow."""
        self._quiet()
        if self._working is not None:
            await asyncio.wait([self._working])

    async def _first(self, ways: list[Callable[[], Awaitable[object]]]) -> None:
        """The first way that is open. Raises the last one's Undeliverable."""
        for number, way in enumerate(ways, start=1):
            try:
                await way()
            except errors.DeliveryError as error:
                if number == len(ways):
                    raise
                log.info("one way to answer was closed, another is tried", reason=error.full_message())
            else:
                return


WORKING = "Working on it…"
THERE = "It is shown in our direct messages as it comes; the button there stops it."
NOT_HERE = "Only you see this, as I am not in this channel. Invite me with /invite and everybody sees what is changed."
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})  # of a message of ours
# Slack's words for a channel the bot cannot post in.
OUTSIDE = frozenset({"not_in_channel", "channel_not_found", "is_archived", "restricted_action", "no_permission"})
