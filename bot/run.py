"""Runs the bot (`quarterdeck run`): watches the engines, serves the metrics page, and opens Slack or the console.

It keeps running if an engine or the store does not answer. After the first Ctrl-C it closes Slack, HTTP and the
console, waits for running commands, and then stops the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from bot import app as bot_app
from bot import audit_of_reads_migration, heartbeat, listening_socket, metrics_server
from bot.console import caller_settings, command_server, interactive, prompt
from bot.healing import healer
from bot.notify import alert_runner
from bot.outlets import outlet_setup
from bot.schedule import leadership, scheduler, slow_reads_and_cleanup
from collectors import exposition, log_line_events
from core import import_speed, logs, loop_watchdog, open_file_limit, supervise
from core.config import load
from core.model.actions import ListContainers
from core.version import read_quarterdeck_version
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
GREETING_SECONDS = 2.0  # how long the console waits for the engines before it opens
RESTART = supervise.Backoff()


async def run_bot(
    settings: load.Config,
    config_path: Path | None,
    listener: socket.socket | None,
    *,
    sources: Mapping[str, Any],
    console: bool,
) -> None:
    """Runs the bot until it is stopped. `listener`: the bound socket of the metrics page; None if the page is off.
    `sources`: where the settings come from (`caller_settings`)."""
    open_file_limit.raise_limit()
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        if listener is not None:
            supervisor.on_close("metrics socket", lambda: _close(listener))
        app = await bot_app.build(settings, watch=True, supervisor=supervisor)
        for warning in app.warnings:
            log.warning(warning)
        import_speed.turn_collector_on()
        load.check_slack_commands(settings, app.catalogue.names)
        app.metrics.config_last_reload_successful.set(1)
        app.metrics.config_last_reload_timestamp_seconds.set(time.time())
        if app.embedded is not None:
            supervisor.start_background("embedded_store", app.embedded.watch, RESTART)
        watchdog = loop_watchdog.LoopWatchdog(app.metrics.loop_lag_seconds.observe)
        supervisor.start_background("loop_watchdog", watchdog.run, RESTART)
        supervisor.start_background("heartbeat", lambda: heartbeat.record_heartbeats(app), RESTART)
        supervisor.start_background("recovery", lambda: heartbeat.keep_recovering(app), RESTART)
        supervisor.start_oneshot("audit reads", audit_of_reads_migration.move_read_rows(app.store, datetime.now(UTC)))
        app.engines.keep_current()
        if app.alerts is not None:
            app.alerts.start(supervisor, lambda: app.engines.mirrors)
            if outlet_setup.has_outlets(settings):
                send = functools.partial(outlet_setup.send_incidents, app, app.alerts)
                supervisor.start_background("outlets", send, RESTART)
            _watch_logs(app, app.alerts, settings)
            _heal(app, app.alerts)
        schedule = _schedule(app, settings)
        supervisor.start_background("schedule", schedule.run, RESTART)
        if listener is not None:
            await _serve_http(app, settings, listener)
        commands = command_server.CommandServer(app, sources)
        supervisor.start_background("command_socket", commands.run, RESTART)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, app, commands, config_path)
        _open_chat(app, settings, listener, console=console)
        await supervisor.serve_until_stopped()


def _reload(app: bot_app.App, commands: command_server.CommandServer, config_path: Path | None) -> None:
    """Reloads the configuration. A caller with the new file is answered only if all of the file is in force."""
    sources = caller_settings.read(str(config_path or ""), os.environ).sources
    if app.reload(config_path):
        commands.sources = sources if not app.restart_needed else caller_settings.NONE_AGREES


def _watch_logs(app: bot_app.App, alerts: alert_runner.AlertRunner, settings: load.Config) -> None:
    """Starts to follow logs, if the configuration has rules about log lines."""
    if not settings.rules.logs:
        return
    watch = log_line_events.LogLineEvents(
        [rule.pattern() for rule in settings.rules.logs],
        lambda: app.engines.mirrors,
        alerts.evaluator.observe,
        is_own=app.policies.is_own,
    )
    app.supervisor.start_background("log_rules", watch.run, RESTART)


def _heal(app: bot_app.App, alerts: alert_runner.AlertRunner) -> None:
    """Starts self-healing. It does nothing as long as the configuration has no healing rules."""
    made = healer.Healer(
        store=app.store,
        evaluator=alerts.evaluator,
        mirrors=lambda: app.engines.mirrors,
        run_line=app.dispatcher.answer,
        in_force=lambda: app.policies.policy,
        counts=app.metrics,
        changed=alerts.changed.set,
    )
    app.supervisor.start_background("healing", made.run, RESTART)


def _schedule(app: bot_app.App, settings: load.Config) -> scheduler.Scheduler:
    jobs = slow_reads_and_cleanup.make_shared_jobs(
        lambda: app.engines.mirrors, app.store, replica=app.replica, disk_use=settings.upkeep.disk_use
    )
    jobs = (*jobs, *outlet_setup.recurring_jobs(app))
    return scheduler.Scheduler(jobs, leadership.Leadership(app.store, app.metrics, replica=app.replica), app.metrics)


async def _serve_http(app: bot_app.App, settings: load.Config, listener: socket.socket) -> None:
    page = exposition.Exposition(
        app.metrics,
        lambda: app.engines.mirrors,
        options=exposition.Options(
            container_labels=settings.metrics.container_labels,
            max_containers=settings.metrics.max_containers,
        ),
    )
    server = await metrics_server.serve_metrics(
        listener,
        page=page.render,
        prepare=page.prepare,
        ready=app.ready,
        refused=lambda reason: app.metrics.http_refused_total.labels("metrics", reason).inc(),
        endpoints=outlet_setup.endpoints(app),
    )
    app.supervisor.on_close("http", server.aclose)


def _open_chat(app: bot_app.App, settings: load.Config, listener: socket.socket | None, *, console: bool) -> None:
    """Opens Slack if it is configured. Otherwise opens the console if there is a terminal."""
    page = f"http://{settings.metrics.listen}/metrics" if listener is not None else "off"
    engines = [str(ref) for ref in app.engines.refs]
    if settings.slack is not None:
        slack = _slack(app, settings.slack)
        app.supervisor.on_close("slack", slack.aclose)
        app.supervisor.start_background("slack", slack.run, RESTART)
        log.info("Quarterdeck started. It watches the engines and connects to Slack.", engines=engines, metrics=page)
    elif console and sys.stdin.isatty() and sys.stdout.isatty():
        if settings.log.level == "info":
            logs.configure_logging("warning", settings.log.format)  # the log must not interrupt what somebody types
        app.supervisor.start_background("console", lambda: _console(app, page))
    else:
        log.info(
            "Quarterdeck started. It watches the engines. It receives commands from `quarterdeck do` only and posts no"
            " incidents, because no chat is configured and there is no terminal.",
            engines=engines,
            metrics=page,
        )


def _slack(app: bot_app.App, settings: load.Slack) -> Any:
    from bot.slack import connection  # noqa: PLC0415 (it costs 40 MB of memory)

    listener = listening_socket.open_socket(settings.listen, "slack.listen") if settings.mode == "http" else None
    if listener is not None:
        app.supervisor.on_close("slack socket", lambda: _close(listener))
    made = connection.SlackConnection(settings, app, listener)
    app.chat = made.ready
    return made


async def _console(app: bot_app.App, metrics: str) -> None:
    """Runs the console. When the user leaves it, the bot stops."""
    print(f"Quarterdeck {read_quarterdeck_version()}; metrics {metrics}")  # noqa: T201
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GREETING_SECONDS):
            while not all(mirror.live for mirror in app.engines.mirrors):  # noqa: ASYNC110 (engines come and go)
                await asyncio.sleep(0.02)
    for mirror in app.engines.mirrors:
        print(f"  {mirror.ref}: " + (_content(mirror) if mirror.live else "not reached yet"))  # noqa: T201
    print(f"No chat is configured, so this is the console. {prompt.GREETING}")  # noqa: T201
    print("New incidents are shown here. To list them: incidents")  # noqa: T201
    await interactive.run_prompt(app)
    app.supervisor.stop("the console was left")


def _content(mirror: Mirror) -> str:
    if ListContainers.verb not in mirror.verbs:
        return "watched"
    number = len(mirror.containers)
    return f"{number} container{'' if number == 1 else 's'}"


async def _close(listener: socket.socket) -> None:
    listener.close()
