"""Starts the parts that exchange incidents with other systems: webhooks, Alertmanagers, and the receiver of their
alerts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from bot.app import App
from bot.metrics_server import Endpoint
from bot.notify.alert_runner import AlertRunner
from bot.notify.alert_settings import read_settings
from bot.outlets import (
    alert_receiver,
    alertmanager_sender,
    heartbeat_sender,
    outlet_runner,
    received_alert_cleanup,
    webhook,
)
from bot.outlets.http_sender import HttpSender
from bot.schedule import leadership
from bot.schedule.recurring_job import RecurringJob
from core import supervise
from core.config import load
from core.config.alert_outlets import Alertmanager, AlertmanagerServer
from core.model.incidents import Incident

EVALUATED_SECONDS = 30.0  # after which the alert rules do not count as evaluated


def has_outlets(settings: load.Config) -> bool:
    """Whether other systems get incidents."""
    return bool(settings.webhooks or settings.alertmanager.send_to)


async def send_incidents(app: App, alerts: AlertRunner) -> None:
    """Sends incidents to the configured systems while this process holds the lease for it. Never returns."""
    lead = leadership.Leadership(app.store, app.metrics, replica=app.replica, key=leadership.OUTLETS)
    sender = HttpSender()
    runners = [
        outlet_runner.OutletRunner(
            outlet, app.store, app.metrics, leads=lambda: lead.held, held=lambda found: _held(app, found)
        )
        for outlet in _outlets(app.config, sender)
    ]
    stops = [alerts.listen(runner.changed.set) for runner in runners]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lead.keep(), name="outlets: lease")
            for number, runner in enumerate(runners):
                group.create_task(runner.run(), name=f"outlet {number}")
    finally:
        for stop in stops:
            stop()
        await sender.aclose()
        await lead.release()


def recurring_jobs(app: App) -> Sequence[RecurringJob]:
    """Returns the jobs that the configuration asks for: the heartbeat, and the upkeep of received alerts."""
    settings, alerts = app.config.heartbeat, app.alerts
    jobs = []
    if settings.url is not None and alerts is not None:
        sender = HttpSender()
        app.supervisor.on_close("heartbeat", sender.aclose)
        heartbeat = heartbeat_sender.make_heartbeat_job(
            settings.url.get_secret_value(),
            every=settings.every.total_seconds(),
            ready=app.ready,
            evaluates=lambda: time.monotonic() - alerts.ticked_at < EVALUATED_SECONDS,
            sender=sender,
            counts=app.metrics,
        )
        jobs.append(heartbeat)
    if app.config.alertmanager.receives:
        jobs.append(received_alert_cleanup.make_cleanup_job(app.store))
    return jobs


def endpoints(app: App) -> Mapping[str, Endpoint]:
    """Returns the endpoints of the HTTP server, by path."""
    settings = app.config.alertmanager
    if app.alerts is None or not settings.receives:
        return {}
    receiver = alert_receiver.AlertReceiver(
        app.store,
        app.alerts.writer,
        app.metrics,
        lambda: app.engines.mirrors,
        token=settings.receive_token.get_secret_value() if settings.receive_token is not None else "",
        username=settings.receive_username or "",
        password=settings.receive_password.get_secret_value() if settings.receive_password is not None else "",
    )
    return {alert_receiver.PATH: receiver}


def _outlets(
    settings: load.Config, sender: HttpSender
) -> Sequence[webhook.Webhook | alertmanager_sender.AlertmanagerSender]:
    found: list[webhook.Webhook | alertmanager_sender.AlertmanagerSender] = []
    for name, each in settings.webhooks.items():
        assert each.url is not None
        assert each.secret is not None
        url, secret = each.url.get_secret_value(), each.secret.get_secret_value()
        found.append(webhook.Webhook(name, url, secret, sender, severity=each.severity, matchers=each.matchers()))
    link = _link(settings.alertmanager, settings)
    found += [
        alertmanager_sender.AlertmanagerSender(server.url, link, sender, authorization=_authorization(server))
        for server in settings.alertmanager.send_to
    ]
    return found


def _link(alertmanager: Alertmanager, settings: load.Config) -> str:
    return alertmanager.link or (f"http://{settings.metrics.listen}/" if settings.metrics.listen is not None else "")


def _authorization(server: AlertmanagerServer) -> str:
    if server.token is not None:
        return f"Bearer {server.token.get_secret_value()}"
    if server.password is not None:
        return alertmanager_sender.basic(server.username, server.password.get_secret_value())
    return ""


async def _held(app: App, incidents: Sequence[Incident]) -> frozenset[str]:
    """Returns the keys of those that a silence or a maintenance window holds back."""
    now = time.time()
    settings = await read_settings(app.store, now)
    return frozenset([each.key async for each in supervise.in_turns(incidents) if settings.held_until(each, now)])
