"""Posts one message exactly once, even if Slack's answer to the post is lost.

An answer counts as lost after a 5xx, a broken connection or a timeout; a refusal and a 429 are answers. Each post has a
token in its metadata. After a lost answer, the channel is searched for the token, and the message is posted again only
if it is not there. The search needs the scope channels:history (groups:history for a private channel). Without the
scope, the message is posted again with a note that it may be there twice.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from bot.slack import blocks, post_delivery_state
from bot.slack.api import SlackApi
from bot.slack.render import MAX_BLOCKS, Message
from core import errors, supervise
from core.lazy_dataclass import dataclass

log = structlog.get_logger(__name__)
MAX_TRIES = 4
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 8.0
REPEATED = "Slack did not confirm an earlier copy of this message, so it may be here twice."
# Errors of a search that pass. After any other one, there is no search.
PASSING = frozenset({"ratelimited", "unreachable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PostState:
    """What is known about a message before it is posted. `token`: its mark in the metadata. `tried_at`: when it was
    tried before, in seconds since the epoch; 0 if it was not. `ts`: the id of the message if it is there already."""

    token: str
    tried_at: float = 0.0
    ts: str = ""


async def post_once(
    api: SlackApi,
    channel: str,
    message: Message,
    *,
    token: str,
    thread: str | None = None,
    broadcast: bool = False,
    tried_at: float = 0.0,
    count: Callable[[str], None] = lambda outcome: None,
) -> str:
    """Returns the ts of the message. `tried_at`: when a post with this token was tried before, in seconds since the
    epoch; 0 if it was not. `count` is called with `found` or `repeated` after an answer was lost. Raises Undeliverable;
    with `maybe_sent`, try again later with `tried_at`."""
    since, unsure, repeats = tried_at or time.time(), tried_at > 0, False
    for attempt in itertools.count(1):
        try:
            if unsure:
                found = await _search(api, channel, token, since, thread)
                if found:
                    count("found")
                    return found
                if repeats := found is None:
                    count("repeated")
            shown = _marked(message) if repeats else message
            more = {"broadcast": True} if broadcast else {}
            post_delivery_state.sending()
            return await api.post(channel, shown, thread=thread, token=token, **more)
        except errors.Undeliverable as error:
            post_delivery_state.failed(lost=error.maybe_sent)
            if not error.maybe_sent or attempt >= MAX_TRIES:
                raise
            unsure = True
            log.info(
                "Slack's answer to a posted message was lost.", action="post", channel=channel, reason=error.message
            )
            pause = supervise.backoff_seconds(attempt, MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS, random.Random())  # noqa: S311
            await asyncio.sleep(MIN_PAUSE_SECONDS + pause)  # Slack may still be posting it
    raise AssertionError("the loop above ends")  # pragma: no cover


async def _search(api: SlackApi, channel: str, token: str, since: float, thread: str | None) -> str | None:
    """Returns the message's ts, an empty text if it is not there, and None if nobody may search this channel. Raises
    Undeliverable with `maybe_sent` if the search must be tried again."""
    try:
        return await api.find_post(channel, token, since=since, thread=thread)
    except errors.Undeliverable as error:
        if error.maybe_sent or error.code in PASSING:
            raise errors.Undeliverable(error.message, code=error.code, hint=error.hint, maybe_sent=True) from error
        return None


def _marked(message: Message) -> Message:
    room = len(message.blocks) < MAX_BLOCKS
    note = blocks.resolved([blocks.note(REPEATED)]) if message.blocks and room else ()
    return replace(message, text=f"{message.text} ({REPEATED})", blocks=(*message.blocks, *note))
