"""What is said in Slack, in turn: new messages about one a second in each channel, edits at most one a second for each
message, the newest edit in the place of those still waiting.

A letter is a function from a shape to a message: where the workspace cannot show a shape yet, the next simpler one is
tried and remembered. The number waiting is bounded; what does not fit is refused and told, never dropped in silence.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from bot.slack.api import Calls
from bot.slack.render import Message, Shape
from core import errors
from core.metrics import Metrics

log = structlog.get_logger(__name__)
OutgoingMessage = Callable[[Shape], Message]
POST_EVERY = 1.05  # seconds; Slack allows about one message a second in a channel
EDIT_EVERY = 1.05
MOST_WAITING = 1000
REMEMBERED = 2048  # channels and messages whose last turn is remembered
SHAPE_HOLDS = 7 * 86_400.0  # seconds until a simpler shape is doubted: Slack rolls new blocks out in steps
SHAPED = ("data_table", "table")


class Memory(Protocol):
    """Where a workspace's shape is kept."""

    async def shape(self, team: str, /) -> int | None: ...

    async def put_shape(self, team: str, shape: int, ttl: float, /) -> None: ...


@dataclass(slots=True)
class _Lane:
    """A channel's new messages, or one message's edits. `users`: who waits for a turn or has it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = 0.0
    newest: OutgoingMessage | None = None
    users: int = 0


class Outbox:
    def __init__(
        self, calls: Calls, memory: Memory, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.calls = calls
        self._memory = memory
        self._metrics = metrics
        self._clock = clock
        self._lanes: OrderedDict[tuple[str, str], _Lane] = OrderedDict()
        self._direct: dict[str, str] = {}
        self._waiting = 0
        self._team = ""
        self.shape = Shape.DATA_TABLE

    async def settle(self, team: str) -> None:
        """Takes up what is known of this workspace."""
        self._team = team
        try:
            kept = await self._memory.shape(team)
        except errors.StoreError as error:
            log.debug("what the workspace can show is not known", reason=error.message)
            return
        # What was held against the workspace long ago is forgotten; what another version wrote counts for nothing.
        self.shape = Shape(kept) if kept in list(Shape) else Shape.DATA_TABLE

    async def post(self, channel: str, letter: OutgoingMessage, *, thread: str | None = None) -> str:
        """The new message's ts, its paper beside it. Raises Undeliverable."""
        async with self._turn((channel, ""), POST_EVERY):
            sent: list[str] = []

            async def say(message: Message) -> None:
                sent.append(await self.calls.post(channel, message, thread=thread))

            message = await self._shaped(letter, say)
        await self._paper(channel, message, thread)
        return sent[-1]

    async def edit(self, channel: str, ts: str, letter: OutgoingMessage, *, thread: str | None = None) -> None:
        """Returns once this letter stands there, or a newer one has taken its place. `thread`: the one the message is
        in. Raises Undeliverable."""
        self._refuse_overflow()  # before an older letter that waits is given up for this one
        lane = self._lane((channel, ts))
        lane.newest = letter
        try:
            async with self._turn((channel, ts), EDIT_EVERY, still=lambda: lane.newest is letter) as mine:
                if not mine:
                    return
                message = await self._shaped(letter, lambda message: self.calls.edit(channel, ts, message))
        finally:
            if lane.newest is letter:
                lane.newest = None  # a lane is remembered for long; what was said in it need not be
        await self._paper(channel, message, thread or (ts if not channel.startswith("D") else None))

    def note_change(self, channel: str, ts: str) -> None:
        """That message changes in another way than by `edit`."""
        self._lane((channel, ts))

    def has_changed(self, channel: str, ts: str) -> bool:
        """Whether this process has changed that message, of the last thousand or so."""
        return (channel, ts) in self._lanes

    async def whisper(self, channel: str, user: str, letter: OutgoingMessage, *, thread: str | None = None) -> None:
        message = await self._shaped(letter, lambda message: self.calls.whisper(channel, user, message, thread=thread))
        await self._private_paper(user, message)

    async def respond(self, url: str, user: str, letter: OutgoingMessage, *, replace: bool) -> None:
        message = await self._shaped(letter, lambda message: self.calls.respond(url, message, replace=replace))
        await self._private_paper(user, message)

    async def take_away(self, url: str) -> None:
        await self.calls.respond(url, None, replace=False)

    async def direct(self, user: str, letter: OutgoingMessage) -> tuple[str, str]:
        """Says it in the direct messages with that user; the channel and ts."""
        channel = await self._direct_channel(user)
        return channel, await self.post(channel, letter)

    async def _direct_channel(self, user: str) -> str:
        if user not in self._direct:
            if len(self._direct) > REMEMBERED:
                self._direct.clear()
            self._direct[user] = await self.calls.direct(user)
        return self._direct[user]

    async def _private_paper(self, user: str, message: Message) -> None:
        """A file is seen by all who see its channel; one for a single person goes into their direct messages."""
        if message.paper is None:
            return
        try:
            channel = await self._direct_channel(user)
        except errors.DeliveryError as error:
            self._lost_paper(error)
        else:
            await self._paper(channel, message, None)

    async def _paper(self, channel: str, message: Message, thread: str | None) -> None:
        if message.paper is None:
            return
        try:
            await self.calls.upload(channel, message.paper, thread=thread)
        except errors.DeliveryError as error:
            self._lost_paper(error)

    def _lost_paper(self, error: errors.DeliveryError) -> None:
        # The message itself was delivered and says that there should be a file; it must not be said again.
        self._metrics.slack_undelivered_total.inc()
        log.error("a file could not be delivered", action="upload", reason=error.full_message(), code=_code(error))

    async def _shaped(self, letter: OutgoingMessage, send: Callable[[Message], Awaitable[None]]) -> Message:
        """Sends it in the richest shape the workspace takes; which that is, is found out by trying."""
        shape, lacking = self.shape, True
        while True:
            message = letter(shape)
            try:
                await send(message)
            except errors.Undeliverable as error:
                if error.code not in ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"):
                    raise
                lacking = lacking and error.code != "msg_blocks_too_long"  # that is this message's fault
                log.warning("Slack did not take these blocks", action="send", shape=shape.name, code=error.code)
                if not message.blocks:
                    raise
                if shape is not Shape.PLAIN and any(block["type"] in SHAPED for block in message.blocks):
                    shape = Shape(shape - 1)
                else:
                    letter = _bare(letter)
                continue
            if lacking and shape < self.shape and message.blocks:
                await self._remember(shape)
            return message

    async def _remember(self, shape: Shape) -> None:
        self.shape = shape
        try:
            await self._memory.put_shape(self._team, int(shape), SHAPE_HOLDS)  # the store would write its name
        except errors.StoreError as error:
            log.debug("what the workspace can show is not kept", reason=error.message)

    @asynccontextmanager
    async def _turn(
        self, key: tuple[str, str], every: float, *, still: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[bool]:
        """Waits for this lane's turn; False where `still` says at its turn that it is not wanted any more."""
        self._refuse_overflow()
        lane = self._lane(key)
        lane.users += 1
        self._waiting += 1
        self._metrics.slack_outbox_waiting.set(self._waiting)
        try:
            async with lane.lock:
                if (wait := lane.free_at - self._clock()) > 0 and still():
                    await asyncio.sleep(wait)
                wanted = still()
                if wanted:
                    lane.free_at = self._clock() + every
                yield wanted
                if wanted and self._clock() > lane.free_at:  # Slack made it wait, and counts from when it took it
                    lane.free_at = self._clock() + every
        finally:
            lane.users -= 1
            self._waiting -= 1
            self._metrics.slack_outbox_waiting.set(self._waiting)

    def _refuse_overflow(self) -> None:
        if self._waiting >= MOST_WAITING:
            raise errors.Undeliverable(f"{MOST_WAITING} messages are waiting for Slack already.", code="overflow")

    def _lane(self, key: tuple[str, str]) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= REMEMBERED:
                self._forget()
            lane = self._lanes[key] = _Lane()
        self._lanes.move_to_end(key)
        return lane

    def _forget(self) -> None:
        """The older half, save what is in use or must still wait for its next turn."""
        now = self._clock()
        for key in list(self._lanes)[: REMEMBERED // 2]:
            lane = self._lanes[key]
            if not lane.users and lane.free_at <= now:
                del self._lanes[key]


def _bare(letter: OutgoingMessage) -> OutgoingMessage:
    """The letter's text alone: the last thing to try."""

    def bare(shape: Shape) -> Message:
        message = letter(shape)
        return Message(text=message.text, blocks=(), paper=message.paper)

    return bare


def _code(error: errors.QuarterdeckError) -> str:
    return getattr(error, "code", "")
