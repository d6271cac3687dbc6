"""Posts in the channel of the alerts that all changes were frozen, and that they are possible again.

A freeze may be set and lifted by any process, also by a console, and may end by itself. So the process that posts
compares the freeze in the store with the one that was announced last. It stores what it announced after it has posted:
if it ends in between, the next process posts the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from bot.notify.alert_settings import named_channel
from bot.notify.message_sender import MessageSender
from core import errors
from core.model.freezes import decode_freeze
from core.model.replies import Button, Reply, Text, Tone
from core.repeated_log import RepeatedLog
from core.store.client import Store

log = structlog.get_logger(__name__)
POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0  # after a message that was not delivered


class FreezeAnnouncer:
    """Announces each freeze while `run` runs, where alerts are posted. `configured` returns the channels of the
    configuration; if it is empty, the channel that a command named is used. `leads`: whether this process holds the
    lease of those that post."""

    def __init__(
        self, store: Store, poster: MessageSender, *, configured: Callable[[], Sequence[str]], leads: Callable[[], bool]
    ) -> None:
        self._store = store
        self._poster = poster
        self._configured = configured
        self._leads = leads
        self._failed = RepeatedLog()

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
                    log.warning("the freeze was not announced", reason=error.message, times=times)
            await asyncio.sleep(pause)

    async def flush(self) -> None:
        """Announces the freeze if it has changed. Raises StoreError and DeliveryError."""
        now, announced = await self._store.freeze_and_announced()
        if now == announced:
            return
        for channel in self._configured() or filter(None, [await named_channel(self._store)]):
            await self._poster.post(channel, _message(now, announced))
        await self._store.set_announced_freeze(now)


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
