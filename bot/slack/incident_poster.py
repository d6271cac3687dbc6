"""Posts messages about incidents in Slack channels, through the outbox."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

from bot import app as composition
from bot.alert_log_permission import AlertLogPermission
from bot.notify import alert_runner, crash_evidence, freeze_announcer, incident_reporter, inhibition
from bot.notify.message_sender import SentMessage
from bot.notify.post_record import BegunPost, PostRecord
from bot.schedule import leadership
from bot.slack import api_errors, post_delivery_state, render
from bot.slack.exactly_once_post import PostState
from bot.slack.outbox import Outbox, OutgoingMessage
from bot.slack.send_queue import Priority
from core import errors
from core.model import alert_routes
from core.model.replies import Reply
from core.text import redact

TAKE_BACK_SECONDS = 1.0  # for the store, when a post was given up


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
        begun: BegunPost | None = None

        async def begin() -> PostState:
            nonlocal begun
            begun = await self._record.begin(once)
            return PostState(token=begun.token, tried_at=begun.at if begun.tried else 0.0, ts=begun.ts)

        channel = await self._outbox.direct_channel(to) if alert_routes.is_person(to) else to
        with post_delivery_state.track() as progress:
            try:
                ts = await self._outbox.post(
                    channel,
                    _outgoing(reply),
                    thread=thread or None,
                    broadcast=broadcast,
                    priority=Priority.CRITICAL if urgent else Priority.INFO,
                    begin=begin if once else None,
                )
            except (errors.Undeliverable, asyncio.CancelledError) as error:
                if begun is not None and not begun.ts and not begun.tried and not progress.may_be_there:
                    await self._take_back(once, begun)
                if thread and isinstance(error, errors.Undeliverable) and error.code in api_errors.THREAD_GONE_CODES:
                    raise _gone(error) from error
                raise
        if begun is not None and begun.ts:
            return SentMessage(channel=begun.channel, ts=begun.ts, tried_before=True)
        channel = self._outbox.api.named_channels.get(channel, channel)
        if begun is not None:
            await self._record.posted(once, begun, channel, ts)
        return SentMessage(channel=channel, ts=ts, tried_before=begun is not None and begun.tried)

    async def _take_back(self, once: str, begun: BegunPost) -> None:
        """Records that the message is not there. This may fail: then it is searched for before it is posted."""
        with contextlib.suppress(errors.StoreError, TimeoutError):
            async with asyncio.timeout(TAKE_BACK_SECONDS):
                await self._record.refused(once, begun)

    async def edit(self, channel: str, ts: str, reply: Reply) -> None:
        try:
            await self._outbox.edit(channel, ts, _outgoing(reply), priority=Priority.INFO)
        except errors.Undeliverable as error:
            if error.code in api_errors.MESSAGE_GONE_CODES:
                raise _gone(error) from error
            raise


async def post_incidents(app: composition.App, alerts: alert_runner.AlertRunner, outbox: Outbox) -> None:
    """Posts incidents while this process holds the lease for it. Never returns."""
    lead = leadership.Leadership(app.store, app.metrics, replica=app.replica, key=leadership.POSTING)
    poster = IncidentPoster(outbox, PostRecord(app.store))
    log_policy = AlertLogPermission(app.policies, app.audit, lambda: datetime.now(UTC))
    evidence = crash_evidence.CrashEvidence(lambda: app.engines.mirrors, app.store, may_read_log=log_policy.may_read)
    reporter = incident_reporter.IncidentReporter(
        app.store,
        poster,
        app.metrics,
        routing=lambda: app.routing,
        changed=alerts.changed,
        leads=lambda: lead.held,
        card=evidence.card,
        nodes_of=lambda incident: inhibition.find_nodes_of_incident(incident, app.engines.mirrors),
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


def _gone(error: errors.Undeliverable) -> errors.MessageNotFound:
    return errors.MessageNotFound(error.message, code=error.code, hint=error.hint)


def _outgoing(reply: Reply) -> OutgoingMessage:
    safe = redact.redact_reply(reply)
    return lambda table_format: render.render_message(safe, table_format=table_format)
