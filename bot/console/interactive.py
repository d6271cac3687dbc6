"""Runs `quarterdeck console`: an interactive console in its own process.

The console does not watch the engines; each command asks them directly. If a bot runs on this host, the console uses
the bot's store; otherwise it starts the embedded store. A running bot that has a terminal and no chat opens the same
console with `run_prompt`.
"""

from __future__ import annotations

import sys

import structlog

from bot import app as composition
from bot import heartbeat
from bot.console import terminal
from core import errors, import_speed, supervise
from core.config import load

log = structlog.get_logger(__name__)
RETRY = supervise.Backoff()


async def run_console(settings: load.Config) -> None:
    """Opens the console and runs it until the person leaves."""
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        built = await composition.build(settings, watch=False, supervisor=supervisor)
        import_speed.done()
        supervisor.start_background("heartbeat", lambda: heartbeat.keep_alive(built), RETRY)
        built.engines.keep_current()
        if built.embedded is not None:
            supervisor.start_background("embedded_store", built.embedded.watch, RETRY)
        await _recover(built)
        await built.meet()
        if sys.stdin.isatty():
            print(terminal.GREETING)  # noqa: T201
        supervisor.start_background("console", lambda: _run_until_exit(built))
        await supervisor.serve_until_stopped()


async def run_prompt(built: composition.App) -> None:
    """Answers the lines that the person types, until they leave."""
    await terminal.run_prompt(
        built.dispatcher,
        terminal.identity(built.config.state),
        catalogue=built.catalogue,
        history=built.config.state / "history",
        names=built.names,
        supervisor=built.supervisor,
    )


async def _run_until_exit(built: composition.App) -> None:
    await run_prompt(built)
    built.supervisor.stop("the console was closed")


async def _recover(built: composition.App) -> None:
    """Reports the commands that an earlier process left unfinished."""
    try:
        await built.recover()
    except errors.StoreError as error:
        log.debug("the search for unfinished commands failed", reason=error.message)
