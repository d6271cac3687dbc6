"""Runs `quarterdeck console`: an interactive console in its own process.

The prompt is printed first; then the rest is imported and started. A line that was typed meanwhile waits for it.

If a bot runs on this state directory with the same settings, it runs the lines (`line_forwarder`). Otherwise the
console runs them itself: it does not watch the engines, and each command asks them directly. It uses the bot's store or
starts the embedded one. A running bot that has a terminal and no chat opens the same console with `run_prompt`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from bot.console import prompt
from core import errors, import_speed, supervise, tasks

if TYPE_CHECKING:
    from bot.app import App
    from core.config.load import Config

log = structlog.get_logger(__name__)
RETRY = supervise.Backoff()
Elsewhere = Callable[[str], Awaitable[Sequence[str] | None]]
"""Lets another process run a line, see `bot.console.terminal.run_prompt`."""


async def run_console(settings: Config, named: str = "") -> None:
    """Opens the console and runs it until the person leaves. `named`: the file given by `--config`."""
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        shown = prompt.Prompt(settings.state / "history")
        if sys.stdin.isatty():
            print(prompt.GREETING)  # noqa: T201
        typed = shown.lines()
        first = tasks.start_awaited("first_line", _next(typed))
        try:
            await _until_painted(shown, first)
            app = importlib.import_module("bot.app")
            built = await app.build(settings, watch=False, supervisor=supervisor)
            import_speed.turn_collector_on()
            await _start(built)
            supervisor.start_background("console", lambda: _run_until_exit(built, shown, _resumed(first, typed), named))
            await supervisor.serve_until_stopped()
        finally:
            if not first.done():
                first.cancel()
                await asyncio.wait([first])


async def run_prompt(built: App) -> None:
    """Answers the lines that the person types, until they leave."""
    shown = prompt.Prompt(built.config.state / "history")
    await _answer_lines(built, shown, shown.lines())


async def _until_painted(shown: prompt.Prompt, first: asyncio.Task[str | None]) -> None:
    painted = tasks.start_awaited("painted", shown.painted.wait())
    await asyncio.wait([painted, first], return_when=asyncio.FIRST_COMPLETED)
    painted.cancel()


async def _start(built: App) -> None:
    """Starts what a console needs besides its prompt."""
    from bot import heartbeat  # noqa: PLC0415 (after the prompt)

    supervisor = built.supervisor
    supervisor.start_background("heartbeat", lambda: heartbeat.record_heartbeats(built), RETRY)
    built.engines.keep_current()
    if built.embedded is not None:
        supervisor.start_background("embedded_store", built.embedded.watch, RETRY)
    try:
        await built.recover()
    except errors.StoreError as error:
        log.debug("Unfinished commands could not be read from the store.", reason=error.message)
    await built.meet()


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)


async def _resumed(first: asyncio.Task[str | None], rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yields the line that was typed first, and those after it. Ends if the first one was cancelled."""
    await asyncio.wait([first])
    if first.cancelled() or (line := first.result()) is None:
        return
    yield line
    async for later in rest:
        yield later


async def _run_until_exit(built: App, shown: prompt.Prompt, lines: AsyncIterator[str], named: str) -> None:
    from bot.console import line_forwarder  # noqa: PLC0415 (after the prompt)

    bot = line_forwarder.LineForwarder(built.supervisor, os.environ, named=named)
    await _answer_lines(built, shown, lines, elsewhere=bot.run)
    built.supervisor.stop("the console was closed")


async def _answer_lines(
    built: App, shown: prompt.Prompt, lines: AsyncIterator[str], elsewhere: Elsewhere | None = None
) -> None:
    from bot.console import terminal  # noqa: PLC0415 (after the prompt)
    from bot.parsing import completion  # noqa: PLC0415

    targets: Sequence[str] = ()

    async def refresh() -> None:
        nonlocal targets
        with contextlib.suppress(errors.QuarterdeckError):
            targets = await built.names()

    async def refreshed() -> AsyncIterator[str]:
        """The lines. While each is typed, the names that complete it are read."""
        reading = tasks.start("names", refresh())
        try:
            async for line in lines:
                yield line
                await asyncio.wait([reading])
                reading = tasks.start("names", refresh())
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    shown.complete = lambda typed: completion.complete_last_word(typed, built.catalogue, targets)
    await terminal.run_prompt(
        built.dispatcher,
        terminal.identity(built.config.state),
        catalogue=built.catalogue,
        lines=refreshed() if shown.on_terminal else lines,
        supervisor=built.supervisor,
        elsewhere=elsewhere,
    )
