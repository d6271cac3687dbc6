"""Posts in the channel of the alerts when all changes are frozen, and when the freeze ends.

Any process may set or lift a freeze, also a console, and a freeze may end by itself. So the process that posts compares
the freeze in the store with the last announcement. It stores the announcement after it has posted it: if it dies in
between, the next process posts the same again. If a channel cannot be reached, it is retried a few times. If one
channel received the message, the freeze counts as announced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from bot.notify.alert_settings import named_channel
from bot.notify.message_sender import MessageSender
from core import errors, shared_ticks
from core.model.freezes import decode_freeze
from core.model.replies import Button, Reply, Text, Tone
from core.repeated_log import RepeatedLog
from core.store.client import Store

log = structlog.get_logger(__name__)
POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0  # after a message that was not delivered
MAX_TRIES = 10  # of one message in one channel, while another channel got it


class FreezeAnnouncer:
    """Announces each freeze while `run` runs, where alerts are posted. `configured` returns the channels of the
    configuration; if it is empty, the channel that a command named is used. `leads`: whether this process holds the
    lease of those that post."""

    def __init__(
        self,
        store: Store,
        poster: MessageSender,
        *,
        configured: Callable[[], Sequence[str]],
        leads: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._poster = poster
        self._configured = configured
        self._leads = leads
        self._now = now
        self._failed = RepeatedLog()
        self._message = Reply(blocks=())
        self._announcing = b""  # the freeze, or its end, that the rest is about
        self._said: set[str] = set()
        self._tries: dict[str, int] = {}  # of each channel that did not get it yet
        self._retry_at = 0.0

    async def run(self) -> None:
        """Announces until it is cancelled."""
        while True:
            pause = POLL_SECONDS
            try:
                if self._leads():
                    await self.flush()
                self._failed.ended()
            except (errors.StoreError, errors.DeliveryError) as error:
                pause = RETRY_SECONDS if isinstance(error, errors.DeliveryError) else POLL_SECONDS
                if times := self._failed.due(error.message):
                    log.warning(
                        "The begin or the end of a freeze was not announced in any channel.",
                        reason=error.message,
                        times=times,
                    )
            await shared_ticks.sleep_to_tick(pause)

    async def flush(self) -> None:
        """Announces the freeze if it has changed. Raises StoreError and DeliveryError."""
        now, announced = await self._store.freeze_and_announced()
        if now == announced:
            if self._tries and self._now() >= self._retry_at:
                await self._post(tuple(self._tries))
            return
        if self._announcing != (changed := now + b"\0" + announced):
            self._announcing, self._message = changed, _message(now, announced)
            self._said, self._tries = set(), {}
        channels = tuple(self._configured()) or tuple(filter(None, [await named_channel(self._store)]))
        first_error = await self._post([each for each in channels if each not in self._said])
        if first_error is not None and not self._said:
            raise first_error
        await self._store.set_announced_freeze(now)

    async def _post(self, channels: Sequence[str]) -> errors.DeliveryError | None:
        """Posts it in these channels. Returns the first failure."""
        first: errors.DeliveryError | None = None
        self._retry_at = self._now() + RETRY_SECONDS
        for channel in channels:
            try:
                await self._poster.post(channel, self._message)
            except errors.DeliveryError as error:
                first = first or error
                tries = self._tries[channel] = self._tries.get(channel, 0) + 1
                if tries == 1:
                    log.error(
                        "The begin or the end of a freeze was not announced in a channel.",
                        channel=channel,
                        reason=error.full_message(),
                    )
                if tries >= MAX_TRIES and self._said:
                    del self._tries[channel]
            else:
                self._said.add(channel)
                self._tries.pop(channel, None)
        return first


def _message(now: bytes, before: bytes) -> Reply:
    if now:
        text = f"{decode_freeze(now).sentence()} Quarterdeck refuses every change on every engine."
        return Reply(
            blocks=(Text(text=text, tone=Tone.WARN),),
            buttons=(Button(label="Show the freeze", line="frozen"), Button(label="Unfreeze", line="unfreeze")),
        )
    ended = decode_freeze(before)
    text = f"Changes are possible again: the freeze of {ended.by_name or ended.by or 'somebody'} has ended."
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),))
