"""Sends messages to Slack at the rate that Slack allows, and in the richest table format that the workspace accepts.

Each channel gets about one new message a second, the most urgent first, and each message at most one edit a second. All
edits together stay within the rate of Slack's method. Edits of replies come before those of live messages and
incidents. A newer edit replaces an edit that still waits. An OutgoingMessage is a function that renders the message in
a given table format. If Slack refuses a message, it is sent in a simpler form (`bot.slack.format_fallback`), and the
store remembers which format the workspace accepts. If too many messages wait, the least urgent ones are refused with an
error.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from bot.slack import format_fallback, rate_limiter
from bot.slack.api import SlackApi
from bot.slack.exactly_once_post import PostState, post_once
from bot.slack.render import Message, TableFormat, TextFile
from bot.slack.send_queue import Lane, Priority
from core import errors, tasks
from core.metrics import Metrics

log = structlog.get_logger(__name__)
OutgoingMessage = format_fallback.OutgoingMessage
POST_INTERVAL_SECONDS = 1.05  # Slack allows about one message a second in a channel
EDIT_INTERVAL_SECONDS = 1.05
MAX_WAITING = 1000
# Up to which part of it messages of each priority are accepted.
SHARE = {Priority.CRITICAL: 1.25, Priority.REPLY: 1.0, Priority.INFO: 0.75}
MAX_LANES = 2048  # channels and messages whose last sending time is stored
# Until a richer format is tried again, because Slack introduces new blocks workspace by workspace.
FORMAT_TTL_SECONDS = 7 * 86_400.0


class Outbox:
    """Queues and sends the messages of one process, in the order that Slack's rate limits allow."""

    def __init__(
        self, api: SlackApi, store: TableFormatStore, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.api = api
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._edits = rate_limiter.edit_pace(clock)
        self._lanes: OrderedDict[tuple[str, str], Lane] = OrderedDict()
        self._direct_channels: dict[str, str] = {}
        self._waiting = 0
        self._since: dict[object, float] = {}  # when each message that waits came, the oldest first
        self._team = ""
        self.table_format = max(TableFormat)
        metrics.slack_outbox_oldest_seconds.set_function(self._oldest_seconds)

    async def load_table_format(self, team: str) -> None:
        """Starts with the table format that was stored for this workspace."""
        self._team = team
        try:
            stored = await self._store.shape(team)
        except errors.StoreError as error:
            log.debug("The table format of the workspace was not loaded from the store.", reason=error.message)
            return
        # The stored format expires. A value that another version wrote is ignored.
        self.table_format = TableFormat(stored) if stored in list(TableFormat) else max(TableFormat)

    async def post(
        self,
        channel: str,
        outgoing: OutgoingMessage,
        *,
        thread: str | None = None,
        broadcast: bool = False,
        priority: Priority = Priority.REPLY,
        begin: Callable[[], Awaitable[PostState]] | None = None,
    ) -> str:
        """Posts the message and its file, and returns the message's ts. `broadcast`: the channel also sees an entry of
        a thread. `begin` is called when it is the message's turn; what it raises, such as StoreError, is passed on.
        Raises Undeliverable."""
        async with self._turn((channel, ""), POST_INTERVAL_SECONDS, priority):
            attempt = await begin() if begin is not None else PostState(token=secrets.token_hex(8))
            if attempt.ts:
                return attempt.ts
            sent: list[str] = []

            async def post_message(message: Message) -> None:
                sent.append(
                    await post_once(
                        self.api,
                        channel,
                        message,
                        token=attempt.token,
                        thread=thread,
                        broadcast=broadcast,
                        tried_at=attempt.tried_at,
                        count=lambda outcome: self._metrics.slack_lost_answers_total.labels(outcome).inc(),
                    )
                )

            message = await self._send_richest(outgoing, post_message)
        await self._upload(channel, message, thread)
        return sent[-1]

    async def edit(
        self,
        channel: str,
        ts: str,
        outgoing: OutgoingMessage,
        *,
        thread: str | None = None,
        priority: Priority = Priority.REPLY,
    ) -> None:
        """Edits the message. Returns when this edit is sent or a newer edit has replaced it. `thread`: the message's
        thread. Raises Undeliverable."""
        self._refuse_overflow(priority)  # before an older edit that waits is replaced by this one
        lane = self._lane((channel, ts))
        lane.replace_waiting(outgoing)
        try:
            async with self._turn(
                (channel, ts),
                EDIT_INTERVAL_SECONDS,
                priority,
                still_wanted=lambda: lane.newest is outgoing,
                paced=lambda: self._edit_turn(lane, priority),
            ) as wanted:
                if not wanted:
                    return
                message = await self._send_richest(outgoing, lambda message: self.api.edit(channel, ts, message))
        finally:
            if lane.newest is outgoing:
                lane.newest = None  # a lane lives long; its text need not stay in memory
        await self._upload(channel, message, thread or (ts if not channel.startswith("D") else None))

    def mark_changed(self, channel: str, ts: str) -> None:
        """Records that the message is changed by another way than `edit`."""
        self._lane((channel, ts))

    def has_changed(self, channel: str, ts: str) -> bool:
        """Whether this process has changed that message. Covers the last thousand messages or more."""
        return (channel, ts) in self._lanes

    async def post_ephemeral(
        self, channel: str, user: str, outgoing: OutgoingMessage, *, thread: str | None = None
    ) -> None:
        message = await self._send_richest(
            outgoing, lambda message: self.api.post_ephemeral(channel, user, message, thread=thread)
        )
        await self._upload_privately(user, message)

    async def respond(self, url: str, user: str, outgoing: OutgoingMessage, *, replace: bool) -> None:
        message = await self._send_richest(outgoing, lambda message: self.api.respond(url, message, replace=replace))
        await self._upload_privately(user, message)

    async def delete_original(self, url: str) -> None:
        await self.api.respond(url, None, replace=False)

    async def post_direct(self, user: str, outgoing: OutgoingMessage) -> tuple[str, str]:
        """Posts it in the direct messages with that user, and returns the channel and ts."""
        channel = await self.direct_channel(user)
        return channel, await self.post(channel, outgoing)

    async def direct_channel(self, user: str) -> str:
        """Returns the channel of the direct messages with that user. Raises Undeliverable."""
        if user not in self._direct_channels:
            if len(self._direct_channels) > MAX_LANES:
                self._direct_channels.clear()
            self._direct_channels[user] = await self.api.open_direct_channel(user)
        return self._direct_channels[user]

    async def _upload_privately(self, user: str, message: Message) -> None:
        """Uploads the file to the user's direct messages, because everybody in a channel sees the channel's files."""
        if message.file is None:
            return
        try:
            channel = await self.direct_channel(user)
        except errors.DeliveryError as error:
            self._upload_failed(user, message.file, error)
        else:
            await self._upload(channel, message, None)

    async def _upload(self, channel: str, message: Message, thread: str | None) -> None:
        if message.file is None:
            return
        try:
            await self.api.upload(channel, message.file, thread=thread)
        except errors.DeliveryError as error:
            self._upload_failed(channel, message.file, error)

    def _upload_failed(self, to: str, file: TextFile, error: errors.DeliveryError) -> None:
        # The message itself was delivered and mentions the file. It must not be sent again.
        self._metrics.slack_undelivered_total.inc()
        about = {"to": to, "file": file.name, "code": getattr(error, "code", "")}
        log.error("A file was not delivered.", action="upload", **about, reason=error.full_message())

    async def _send_richest(self, outgoing: OutgoingMessage, send: Callable[[Message], Awaitable[None]]) -> Message:
        """Sends the message in the richest form that Slack accepts, found by trial, and stores what was learned."""
        sending = format_fallback.SendingWithFallback(outgoing, self.table_format)
        while True:
            tried = sending.table_format
            try:
                await send(sending.message)
            except errors.Undeliverable as error:
                simpler = sending.simplify(error)
                if simpler or error.code in format_fallback.REFUSED:
                    log.warning(
                        "Slack refused the blocks or the text of a message.",
                        action="send",
                        table_format=tried.name,
                        code=error.code,
                        reasons=list(error.reasons),
                    )
                if not simpler:
                    raise
                continue
            if (supported := sending.supported) is not None and supported < self.table_format:
                await self._save_format(supported)
            return sending.message

    async def _save_format(self, table_format: TableFormat) -> None:
        self.table_format = table_format
        try:
            # As an int: the store would write the name of an enum.
            await self._store.put_shape(self._team, int(table_format), FORMAT_TTL_SECONDS)
        except errors.StoreError as error:
            log.debug("The table format of the workspace was not stored.", reason=error.message)

    @asynccontextmanager
    async def _turn(
        self,
        key: tuple[str, str],
        interval: float,
        priority: Priority,
        *,
        still_wanted: Callable[[], bool] = lambda: True,
        paced: Callable[[], Awaitable[bool]] | None = None,
    ) -> AsyncIterator[bool]:
        """Waits until this lane may send, then for `paced`. Yields the result of `still_wanted` at that time."""
        self._refuse_overflow(priority)
        lane, entry = self._lane(key), object()
        lane.users += 1
        self._waiting += 1
        self._since[entry] = self._clock()
        self._metrics.slack_outbox_waiting.set(self._waiting)
        try:
            async with lane.lock.turn(priority):
                if (wait := lane.next_send_at - self._clock()) > 0 and still_wanted():
                    await asyncio.sleep(wait)
                wanted = still_wanted() and (paced is None or await paced()) and still_wanted()
                if wanted:
                    lane.next_send_at = self._clock() + interval
                yield wanted
                if (
                    wanted and self._clock() > lane.next_send_at
                ):  # throttled: Slack counts from when it accepted the message
                    lane.next_send_at = self._clock() + interval
        finally:
            lane.users -= 1
            self._waiting -= 1
            del self._since[entry]
            self._metrics.slack_outbox_waiting.set(self._waiting)

    async def _edit_turn(self, lane: Lane, priority: Priority) -> bool:
        """Waits for the pace of edits. Returns False if a newer edit of the message came first."""
        if self._edits.take():
            return True
        task = lane.pacing = tasks.start("slack_edit_turn", self._edits.turn(priority))
        try:
            await asyncio.wait([task])
        finally:
            lane.pacing = None
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        return not task.cancelled()

    def _oldest_seconds(self) -> float:
        """Returns how long the oldest message has waited."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    def _refuse_overflow(self, priority: Priority) -> None:
        if self._waiting >= MAX_WAITING * SHARE[priority]:
            self._metrics.slack_overflow_total.labels(priority.name.lower()).inc()
            raise errors.Undeliverable(
                f"Too many messages wait to be sent to Slack ({MAX_WAITING}), so this message was dropped.",
                code="overflow",
                hint="Wait a minute. See with `audit` which commands were run before you give one again.",
            )

    def _lane(self, key: tuple[str, str]) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                self._evict_lanes()
            lane = self._lanes[key] = Lane()
        self._lanes.move_to_end(key)
        return lane

    def _evict_lanes(self) -> None:
        """Drops the older half, except lanes in use and lanes whose interval has not passed."""
        now = self._clock()
        for key in list(self._lanes)[: MAX_LANES // 2]:
            lane = self._lanes[key]
            if not lane.users and lane.next_send_at <= now:
                del self._lanes[key]


class TableFormatStore(Protocol):
    """Stores the table format that a workspace accepts."""

    async def shape(self, team: str, /) -> int | None: ...

    async def put_shape(self, team: str, shape: int, ttl: float, /) -> None: ...
