"""Posts messages about incidents in Slack channels, through the outbox."""

from __future__ import annotations

from bot.slack import render
from bot.slack.outbox import Outbox, OutgoingMessage
from core.model.replies import Reply
from core.text import redact


class IncidentPoster:
    """Implements bot.notify.incident_reporter.Poster."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def post(self, channel: str, reply: Reply, thread: str = "") -> str:
        return await self._outbox.post(channel, _outgoing(reply), thread=thread or None)

    async def edit(self, channel: str, ts: str, reply: Reply) -> None:
        await self._outbox.edit(channel, ts, _outgoing(reply))


def _outgoing(reply: Reply) -> OutgoingMessage:
    safe = redact.redact_reply(reply)
    return lambda table_format: render.render_message(safe, table_format=table_format)
