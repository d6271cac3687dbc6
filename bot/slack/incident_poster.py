"""Posts messages about incidents in Slack channels, through the outbox."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from bot import app as composition
from bot.alert_log_policy import AlertLogPolicy
from bot.notify import alert_runner, crash_evidence, freeze_announcer, incident_reporter
from bot.notify.message_sender import SentMessage
from bot.notify.post_record import PostRecord
from bot.schedule import leadership
from bot.slack import api_errors, render
from bot.slack.outbox import Outbox, OutgoingMessage
from bot.slack.sending_order import Priority
from core import errors
from core.model import alert_routes
from core.model.replies import Reply
from core.text import redact


class IncidentPoster:
    """Implements bot.notify.message_sender.MessageSender. `record`: lets each message that has a name appear once."""

    def __init__(self, outbox: Outbox, record: PostRecord) -> None:
        self._outbox = outbox
        self._record = record

    async def post(
        self,
        to: str,
        reply: Reply,
        thread: str = "",
        *,
        broadcast: bool = False,
        once: str = "",
        urgent: bool = False,
    ) -> SentMessage:
        begun = await self._record.begin(once) if once else None
        if begun is not None and begun.ts:
            return SentMessage(channel=begun.channel, ts=begun.ts, tried_before=True)
        try:
            channel = await self._outbox.direct_channel(to) if alert_routes.is_person(to) else to
            ts = await self._outbox.post(
                channel,
                _outgoing(reply),
                thread=thread or None,
                broadcast=broadcast,
                priority=Priority.CRITICAL if urgent else Priority.INFO,
                token=begun.token if begun is not None else "",
                tried_at=begun.at if begun is not None and begun.tried else 0.0,
            )
        except errors.Undeliverable as error:
            if begun is not None and not begun.tried and not error.maybe_sent:
                await self._record.refused(once, begun)
            if thread and error.code in api_errors.THREAD_GONE_CODES:
                raise _gone(error) from error
            raise
        channel = self._outbox.api.named_channels.get(channel, channel)
        sent = SentMessage(channel=channel, ts=ts, tried_before=begun is not None and begun.tried)
        if begun is not None:
            await self._record.posted(once, begun, sent.channel, sent.ts)
        return sent

    async def edit(self, channel: str, ts: str, reply: Reply) -> None:
        try:
            await self._outbox.edit(channel, ts, _outgoing(reply))
        except errors.Undeliverable as error:
            if error.code in api_errors.MESSAGE_GONE_CODES:
                raise _gone(error) from error
            raise


async def post_incidents(app: composition.App, alerts: alert_runner.AlertRunner, outbox: Outbox) -> None:
    """Posts incidents while this process holds the lease for it. Never returns."""
    lead = leadership.Leadership(app.store, app.metrics, replica=app.replica, key=leadership.POSTING)
    poster = IncidentPoster(outbox, PostRecord(app.store))
    log_policy = AlertLogPolicy(app.policies, app.audit, lambda: datetime.now(UTC))
    evidence = crash_evidence.CrashEvidence(lambda: app.engines.mirrors, app.store, may_read_log=log_policy.may_read)
    reporter = incident_reporter.IncidentReporter(
        app.store,
        poster,
        app.metrics,
        routing=lambda: app.routing,
        changed=alerts.changed,
        leads=lambda: lead.held,
        card=evidence.card,
    )
    lead.on_lost = reporter.stop_posting
    announcer = freeze_announcer.FreezeAnnouncer(
        app.store, poster, configured=lambda: app.routing.common_channels, leads=lambda: lead.held
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lead.keep(), name="slack incidents: lease")
            group.create_task(reporter.run(), name="slack incidents: report")
            group.create_task(announcer.run(), name="slack incidents: freeze")
    finally:
        await lead.release()


def _gone(error: errors.Undeliverable) -> errors.MessageGone:
    return errors.MessageGone(error.message, code=error.code, hint=error.hint)


def _outgoing(reply: Reply) -> OutgoingMessage:
    safe = redact.redact_reply(reply)
    return lambda table_format: render.render_message(safe, table_format=table_format)
