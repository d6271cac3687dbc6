"""`quarterdeck console` and `quarterdeck do`: talk to the engines from here, watching nothing.

They ask the engines directly and share the store of a bot that runs beside them, or bring it up themselves.
"""

from __future__ import annotations

import asyncio
import os
import sys

import structlog

from bot import app as composition
from bot import plain_text
from bot.console import terminal
from core import errors, supervise
from core.config import load
from core.model.replies import Ending, Reply
from core.ports import Progress
from core.text.command_line import quote

log = structlog.get_logger(__name__)
AGAIN = supervise.Backoff()
INTERRUPTED = 130  # as a shell counts SIGINT


async def console(settings: load.Config) -> None:
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        built = await composition.build(settings, watch=False, supervisor=supervisor)
        supervisor.start_background("beat", lambda: composition.beat(built), AGAIN)
        supervisor.start_background("swarms", built.swarms.keep, AGAIN)
        if built.embedded is not None:
            supervisor.start_background("embedded store", built.embedded.watch, AGAIN)
        await _recovered(built)
        await built.meet()
        if sys.stdin.isatty():
            print(terminal.GREETING)  # noqa: T201
        supervisor.start_background("console", lambda: _until_left(built))
        await supervisor.serve_until_stopped()


async def do(settings: load.Config, line: list[str], *, as_json: bool, yes: bool) -> int:
    """One line, given as one word (`do "rm -f web"`) or as the shell split it (`do rm -f web`). Returns the exit code.
    Ctrl-C ends what only looks; of a change the outcome is waited for as long as stopping may take."""
    words = line[0] if len(line) == 1 else quote(line)
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        built = await composition.build(settings, watch=False, supervisor=supervisor)
        supervisor.start_background("beat", lambda: composition.beat(built), AGAIN)
        way = _Silent(sys.stdout) if as_json else _Meanwhile(sys.stdout)
        work = supervisor.start_oneshot("do", _said(built, words, way, yes=yes))
        stopped = asyncio.get_running_loop().create_task(supervisor.stopping.wait(), name="stopped")
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
    reply: Reply | None = None if work.cancelled() else work.result()
    if reply is None:
        return INTERRUPTED
    try:
        _print(reply, as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return plain_text.EXIT[reply.ending]


async def _said(built: composition.App, words: str, way: terminal.Terminal, *, yes: bool) -> Reply | None:
    await built.meet()
    reply = await _answered(built, words, way)
    if reply is not None and reply.ending is Ending.ASKED and yes:
        reply = await _answered(built, reply.buttons[0].line, way)
    return reply


async def _answered(built: composition.App, words: str, way: terminal.Terminal) -> Reply | None:
    inv = terminal.invocation(words, terminal.identity(built.config.state))
    return await terminal.answer(built.dispatcher, inv, way, catalogue=built.catalogue, supervisor=built.supervisor)


def _print(reply: Reply, *, as_json: bool) -> None:
    if as_json:
        print(plain_text.to_json(reply))  # noqa: T201
        return
    terminal.show(reply, sys.stdout)
    if reply.ending is Ending.ASKED:
        print(f'To go on: quarterdeck do "{reply.buttons[0].line}"  (or give --yes next time)')  # noqa: T201


class _Meanwhile(terminal.Terminal):
    """Prints what goes on; the reply is printed by whoever asked, once it is the last."""

    async def finish(self, reply: Reply) -> None:
        """See above."""


class _Silent(_Meanwhile):
    """Lines that come would not be JSON."""

    def progress(self, going: Progress) -> bool:
        return True


async def _until_left(built: composition.App) -> None:
    await converse(built)
    built.supervisor.stop("the console was left")


async def converse(built: composition.App) -> None:
    await terminal.converse(
        built.dispatcher,
        terminal.identity(built.config.state),
        catalogue=built.catalogue,
        history=built.config.state / "history",
        names=built.names,
        supervisor=built.supervisor,
    )


async def _recovered(built: composition.App) -> None:
    try:
        await built.recover()
    except errors.StoreError as error:
        log.debug("unfinished commands could not be looked for", reason=error.message)
