"""Runs `quarterdeck do` without a running bot: runs one command, prints its reply to stdout, and returns an exit code.

The command asks the engines directly and does not watch them. If the store of a bot on this host runs, the command uses
it; otherwise it starts the embedded store. If a bot runs, `command_client` sends the command to that bot instead. Most
modules are imported while the store's server starts.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot import store_setup
from bot.console.terminal_properties import screen_of
from core import import_speed, logs, supervise, tasks

if TYPE_CHECKING:
    from bot.app import App
    from bot.console.one_command_runner import Streams
    from bot.console.terminal_responder import ConsoleResponder
    from core.config import load
    from core.model.replies import Reply

RETRY = supervise.Backoff()


async def run_command(
    settings: load.Config, words: list[str], *, as_json: bool, yes: bool, verify: bool = False
) -> int:
    """Runs one line and returns the exit code. `verify`: what a change starts is watched after it. Ctrl-C ends a read
    at once; for a change, the process waits for the outcome as long as stopping may take."""
    _configure_logs(settings)
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        opening = tasks.start_awaited("open_store", store_setup.open_store(settings, supervisor, visits=True))
        await asyncio.sleep(0)  # its server has been started
        from bot import app, heartbeat  # noqa: PLC0415
        from bot.console import one_command_runner  # noqa: PLC0415

        built = await app.build(settings, watch=False, supervisor=supervisor, opened=await opening)
        import_speed.turn_collector_on()
        supervisor.start_background("heartbeat", lambda: heartbeat.record_heartbeats(built), RETRY)
        responder = one_command_runner.responder_for(sys.stdout, screen_of(sys.stdout), as_json=as_json)
        work = supervisor.start_oneshot("do", _run(built, words, responder, as_json=as_json, yes=yes, verify=verify))
        stopped = tasks.start_awaited("stopped", supervisor.stopping.wait())
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
    reply: Reply | None = None if work.cancelled() else work.result()
    if reply is None:
        return one_command_runner.INTERRUPTED
    try:
        code = await one_command_runner.print_reply(reply, _streams(), as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` closed the pipe; the rest of the buffer goes to /dev/null
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return one_command_runner.code_of(reply)
    return code


def _configure_logs(settings: load.Config) -> None:
    """Leaves only warnings in the log, as sentences: what a bot logs about its engines is no part of one command's
    output."""
    level = "warning" if settings.log.level == "info" else settings.log.level
    logs.configure_logging(level, "console" if settings.log.format == "auto" else settings.log.format)


async def _run(
    built: App,
    words: Sequence[str],
    responder: ConsoleResponder,
    *,
    as_json: bool,
    yes: bool,
    verify: bool,
) -> Reply | None:
    from bot.console import one_command_runner, terminal  # noqa: PLC0415

    await built.meet()

    async def answer(line: str, responder: ConsoleResponder) -> Reply | None:
        inv = terminal.invocation(line, terminal.identity(built.config.state), as_records=as_json, verify=verify)
        return await terminal.answer(
            built.dispatcher, inv, responder, catalogue=built.catalogue, supervisor=built.supervisor
        )

    return await one_command_runner.run(answer, one_command_runner.line_of(words), responder, yes=yes)


def _streams() -> Streams:
    from bot.console import one_command_runner, save_download  # noqa: PLC0415

    async def save(reply: Reply) -> Reply:
        return await save_download.save_download(reply, sys.stdout.buffer)

    return one_command_runner.Streams(out=sys.stdout, err=sys.stderr, screen=screen_of(sys.stdout), save=save)
