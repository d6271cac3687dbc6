"""`quarterdeck run`: watch the engines, serve the metrics page, open the console where there is a terminal.

Goes on when an engine or the store is away. The first Ctrl-C drains: surfaces close, running commands end, then the
store stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from bot import app as composition
from bot import http
from bot.console import interactive, terminal
from collectors import exposition, pipeline, watcher
from core import logs, supervise
from core.config import load
from core.model.actions import ListContainers
from runtimes.inventory.mirror import Mirror, Watched

log = structlog.get_logger(__name__)
GREET_WITHIN = 2.0  # seconds the console waits for the engines before it opens all the same
AGAIN = supervise.Backoff()


async def run(settings: load.Config, path: Path | None, door: socket.socket | None, *, console: bool) -> None:
    """Until stopped. `door`: the socket already bound for the metrics page, None when that is off."""
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        if door is not None:
            supervisor.on_close("metrics socket", lambda: _close(door))
        built = await composition.build(settings, watch=True, supervisor=supervisor)
        for warning in built.warnings:
            log.warning(warning)
        load.check_slack_commands(settings, built.catalogue.names)
        built.metrics.config_last_reload_successful.set(1)
        built.metrics.config_last_reload_timestamp_seconds.set(time.time())
        if built.embedded is not None:
            supervisor.start_background("embedded store", built.embedded.watch, AGAIN)
        supervisor.start_background("beat", lambda: composition.beat(built), AGAIN)
        supervisor.start_background("sweep", lambda: composition.sweep(built), AGAIN)
        supervisor.start_background("swarms", built.swarms.keep, AGAIN)
        for engine, mirror in zip(built.engines, built.mirrors, strict=True):
            supervisor.start_background(f"watch {engine.ref}", _watch(built, engine, mirror).run, AGAIN)
        if door is not None:
            page = exposition.Exposition(
                built.metrics,
                lambda: _there(built),
                options=exposition.Options(
                    container_labels=settings.metrics.container_labels,
                    max_containers=settings.metrics.max_containers,
                ),
            )
            server = await http.serve(door, page=page.render, ready=built.ready)
            supervisor.on_close("http", server.aclose)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, built.reload, path)
        if settings.slack is not None:
            chat = _slack(built, settings.slack)
            supervisor.on_close("slack", chat.aclose)
            supervisor.start_background("slack", chat.run, AGAIN)
        where = f"http://{settings.metrics.listen}/metrics" if door is not None else "off"
        if settings.slack is not None:
            log.info(
                "watching; Slack is being connected",
                engines=[str(engine.ref) for engine in built.engines if engine.present],
                metrics=where,
            )
        elif console and sys.stdin.isatty() and sys.stdout.isatty():
            if settings.log.level == "info":
                logs.configure("warning", settings.log.format)  # what goes well is not said between somebody's lines
            supervisor.start_background("console", lambda: _console(built, where))
        else:
            log.info(
                "watching; no chat is configured and there is no terminal, so nobody can talk to this process",
                engines=[str(engine.ref) for engine in built.engines if engine.present],
                metrics=where,
            )
        await supervisor.serve_until_stopped()


def _slack(built: composition.App, settings: load.Slack) -> Any:
    from bot.slack import connection  # noqa: PLC0415 (40 MB that nobody without Slack pays for)

    door = http.bind(settings.listen, "slack.listen") if settings.mode == "http" else None
    if door is not None:
        built.supervisor.on_close("slack socket", lambda: _close(door))
    made = connection.SlackConnection(settings, built, door)
    built.chat = made.ready
    return made


def _watch(built: composition.App, engine: Watched, mirror: Mirror) -> watcher.Watcher:
    return watcher.Watcher(engine, mirror, pipeline.Pipeline(mirror, built.metrics), built.store, built.metrics)


async def _console(built: composition.App, metrics: str) -> None:
    """The console of a running bot; leaving it stops the bot, as it was started here."""
    print(f"Quarterdeck {composition.version()}; metrics {metrics}")  # noqa: T201
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GREET_WITHIN):
            while not all(mirror.live for mirror in _there(built)):  # noqa: ASYNC110 (several mirrors, no one event)
                await asyncio.sleep(0.02)
    for mirror in _there(built):
        print(f"  {mirror.ref}: " + (_holding(mirror) if mirror.live else "not reached yet"))  # noqa: T201
    print(f"No chat is configured, so this is the console. {terminal.GREETING}")  # noqa: T201
    await interactive.run_prompt(built)
    built.supervisor.stop("the console was left")


def _there(built: composition.App) -> Sequence[Mirror]:
    return [mirror for mirror in built.mirrors if mirror.present]


def _holding(mirror: Mirror) -> str:
    if ListContainers.verb not in mirror.verbs:
        return "watched"
    number = len(mirror.containers)
    return f"{number} container{'' if number == 1 else 's'}"


async def _close(door: socket.socket) -> None:
    door.close()
