"""Runs `quarterdeck do`: runs one command, prints its reply to stdout, and returns an exit code that shows how the
command ended.

The command asks the engines directly and does not watch them. If a bot runs on this host, the command uses the bot's
store; otherwise it starts the embedded store.
"""

from __future__ import annotations

import asyncio
import os
import sys

from bot import app as composition
from bot import heartbeat, plain_text
from bot.console import save_download, terminal
from core import logs, supervise
from core.config import load
from core.model.replies import Ending, Reply
from core.ports import Progress
from core.text.command_line import quote

RETRY = supervise.Backoff()
INTERRUPTED = 130  # what a shell reports for SIGINT


async def do(settings: load.Config, line: list[str], *, as_json: bool, yes: bool) -> int:
    """Runs one line and returns the exit code. The line is one argument (`do "rm -f web"`) or several, as the shell
    split it (`do rm -f web`). Ctrl-C ends a read at once; for a change, the process waits for the outcome as long as
    stopping may take."""
    command = line[0] if len(line) == 1 else quote(line)
    _configure_logs(settings)
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        built = await composition.build(settings, watch=False, supervisor=supervisor)
        supervisor.start_background("heartbeat", lambda: heartbeat.keep_alive(built), RETRY)
        responder = _Silent(sys.stdout) if as_json else _ProgressOnly(sys.stdout)
        work = supervisor.start_oneshot("do", _run(built, command, responder, yes=yes))
        stopped = asyncio.get_running_loop().create_task(supervisor.stopping.wait(), name="stopped")
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
    reply: Reply | None = None if work.cancelled() else work.result()
    if reply is None:
        return INTERRUPTED
    try:
        reply = await _print(reply, as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` closed the pipe; the rest of the buffer goes to /dev/null
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return plain_text.EXIT[reply.ending]


def _configure_logs(settings: load.Config) -> None:
    """Leaves only warnings in the log, as sentences: what a bot logs about its engines is no part of one command's
    output."""
    level = "warning" if settings.log.level == "info" else settings.log.level
    logs.configure(level, "console" if settings.log.format == "auto" else settings.log.format)


async def _run(
    built: composition.App, command: str, responder: terminal.TerminalResponder, *, yes: bool
) -> Reply | None:
    await built.meet()
    reply = await _answer(built, command, responder)
    if reply is not None and reply.ending is Ending.ASKED and yes:
        reply = await _answer(built, reply.buttons[0].line, responder)
    return reply


async def _answer(built: composition.App, command: str, responder: terminal.TerminalResponder) -> Reply | None:
    inv = terminal.invocation(command, terminal.identity(built.config.state))
    return await terminal.answer(
        built.dispatcher, inv, responder, catalogue=built.catalogue, supervisor=built.supervisor
    )


async def _print(reply: Reply, *, as_json: bool) -> Reply:
    """Prints a reply, saves its file, and returns the reply with the result of that."""
    if as_json:
        out = sys.stderr if reply.download is not None and reply.download.to == save_download.STDOUT else sys.stdout
        reply = await save_download.save(reply, sys.stdout.buffer)
        print(plain_text.to_json(reply), file=out)
        return reply
    reply = await terminal.print_reply(reply, sys.stdout)
    if reply.ending is Ending.ASKED:
        print(f'To confirm: quarterdeck do "{reply.buttons[0].line}"  (or pass --yes next time)')  # noqa: T201
    return reply


class _ProgressOnly(terminal.TerminalResponder):
    """Prints progress. `do` prints the reply itself, once it is the last one."""

    async def finish(self, reply: Reply) -> None:
        """Prints nothing."""


class _Silent(_ProgressOnly):
    """Prints no progress either: those lines would not be JSON."""

    def progress(self, progress: Progress) -> bool:
        return True
