"""`quarterdeck console` and `quarterdeck do`: talk to the engines from here, watching nothing.

They ask the engines directly and share the store of a bot that runs beside them, or bring it up themselves.
"""

from __future__ import annotations

import sys

import structlog

from bot import app as composition
from bot import console as talk
from bot import terminal
from core import config, errors, supervise
from core.model.replies import Ending, Reply
from core.words import quote

log = structlog.get_logger(__name__)
AGAIN = supervise.Backoff()


async def console(settings: config.Config) -> None:
    async with supervise.Supervisor() as supervisor:
        built = await composition.build(settings, watch=False, supervisor=supervisor)
        supervisor.run("beat", lambda: composition.beat(built), AGAIN)
        if built.embedded is not None:
            supervisor.run("embedded store", built.embedded.keep, AGAIN)
        await _recovered(built)
        if sys.stdin.isatty():
            print(talk.GREETING)  # noqa: T201
        await converse(built)


async def do(settings: config.Config, line: list[str], *, as_json: bool, yes: bool) -> int:
    """One line, given as one word (`do "rm -f web"`) or as the shell split it (`do rm -f web`). Returns the exit
    code."""
    words = line[0] if len(line) == 1 else quote(line)
    async with supervise.Supervisor() as supervisor:
        built = await composition.build(settings, watch=False, supervisor=supervisor)
        supervisor.run("beat", lambda: composition.beat(built), AGAIN)
        who = talk.identity(settings.state)
        way = None if as_json else _Meanwhile(sys.stdout)
        reply = await supervisor.spawn("do", built.road.answer(talk.invocation(words, who), way))
        if reply.ending is Ending.ASKED and yes:
            reply = await supervisor.spawn("do", built.road.answer(talk.invocation(reply.buttons[0].line, who), way))
        if as_json:
            print(terminal.to_json(reply))  # noqa: T201
        else:
            talk.show(reply, sys.stdout)
            if reply.ending is Ending.ASKED:
                print(f'To go on: quarterdeck do "{reply.buttons[0].line}"  (or give --yes next time)')  # noqa: T201
        return terminal.EXIT[reply.ending]


class _Meanwhile(talk.Terminal):
    """Prints what goes on; the reply is printed by whoever asked, once it is the last."""

    async def end(self, reply: Reply) -> None:
        """See above."""


async def converse(built: composition.App) -> None:
    await talk.converse(
        built.road,
        talk.identity(built.config.state),
        catalogue=built.catalogue,
        history=built.config.state / "history",
        names=built.names,
        interrupts=built.supervisor.interrupts,
    )


async def _recovered(built: composition.App) -> None:
    try:
        await built.recover()
    except errors.StoreError as error:
        log.debug("unfinished commands could not be looked for", reason=error.message)
