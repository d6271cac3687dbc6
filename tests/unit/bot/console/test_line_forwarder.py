"""A console beside a running bot: the bot runs its lines, and the console shows what it would show itself."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from bot.console import caller_connection, client_exchange, line_forwarder, terminal
from core import errors, supervise
from core.model.invocation import Invocation
from core.model.replies import Button, Download, Ending, Lines, Reply, Text
from core.ports import Progress, Responder
from tests.unit.bot.console.test_command_socket import CATALOGUE, RunningBot
from tests.unit.bot.console.test_command_socket import bot as bot  # noqa: PLC0414 (a fixture)
from tests.unit.bot.console.test_terminal import Terminal


class Own:
    """The dispatcher of the console itself."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def answer(self, inv: Invocation, responder: Responder) -> Reply:
        self.lines.append(inv.line)
        reply = Reply(blocks=(Text(text=f"own {inv.line}"),))
        await responder.finish(reply)
        return reply


async def typed(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line


async def console(running: RunningBot, *lines: str, out: io.StringIO | None = None) -> tuple[str, Sequence[str]]:
    """Types lines, and returns what the console shows, and the lines that it ran itself."""
    own, out = Own(), out or io.StringIO()
    async with supervise.Supervisor() as supervisor:
        supervisor.catch_signals()
        await terminal.run_prompt(
            own,  # type: ignore[arg-type]
            terminal.identity(running.state),
            catalogue=CATALOGUE,
            lines=typed(*lines),
            supervisor=supervisor,
            out=out,
            elsewhere=line_forwarder.LineForwarder(supervisor, running.env, out=out).run,
        )
    return out.getvalue(), own.lines


async def test_the_bot_answers_as_at_its_own_console(bot: RunningBot) -> None:
    assert await console(bot, "ps", "stats --since 5m") == ("hello ps\nhello stats --since 5m\n", [])
    first = bot.asked[0]
    assert first.who.id.startswith("console:") and first.place.kind == "console" and first.verify


@pytest.mark.parametrize(
    ("out", "number", "chosen"),
    [(Terminal(), "1", "logs web"), (Terminal(), "2", "confirm abc"), (io.StringIO(), "1", "confirm abc")],
)
async def test_a_number_chooses_what_is_shown(
    bot: RunningBot, monkeypatch: pytest.MonkeyPatch, out: io.StringIO, number: str, chosen: str
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        if inv.line != "rm web":
            return Reply(blocks=(Text(text=f"hello {inv.line}"),))
        buttons = (Button(label="Logs", line="logs web", offered=True), Button(label="Yes", line="confirm abc"))
        return Reply(blocks=(Text(text="Remove web?"),), buttons=buttons, ending=Ending.ASKED)

    bot.answers = answers
    shown, own = await console(bot, "rm web", number, "1", out=out)
    assert [inv.line for inv in bot.asked] == ["rm web", chosen, "1"] and not own
    assert "Remove web?" in shown and "quarterdeck do" not in shown


async def test_progress_is_shown_before_the_reply_and_a_file_is_saved_here(bot: RunningBot, tmp_path: Any) -> None:
    async def answers(inv: Invocation, responder: Responder) -> Reply:
        responder.progress(Progress(name="web", lines=["first", "second"]))
        download = Download(content=io.BytesIO(b"content"), to=str(tmp_path / "web.txt"), name="web.txt")  # type: ignore[arg-type]
        return Reply(blocks=(Lines(lines=["third"]),), download=download)

    bot.answers = answers
    shown, _ = await console(bot, f"cp web:/x {tmp_path}/web.txt")
    assert shown.startswith("first\nsecond\nthird\n") and "web.txt" in shown
    assert (tmp_path / "web.txt").read_bytes() == b"content"


async def test_ctrl_c_ends_a_read_and_the_console_goes_on(bot: RunningBot) -> None:
    async def answers(inv: Invocation, responder: Responder) -> Reply:
        if inv.line == "ps":
            return Reply(blocks=(Text(text="hello"),))
        responder.progress(Progress(name="web", lines=["begun"]))
        await asyncio.Event().wait()
        raise AssertionError

    bot.answers = answers
    out = Pressing("begun")
    shown, own = await console(bot, "logs web -f", "ps", out=out)
    assert shown == "begun\n\nhello\n" and not own
    assert [inv.line for inv in bot.asked] == ["logs web -f", "ps"] and "cancelled" in bot.ended


async def test_ctrl_c_leaves_a_change_running(
    bot: RunningBot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = threading.Event()
    warn = caller_connection.CallerConnection.warn_still_running

    def warn_still_running(self: Any) -> None:
        warn(self)
        warned.set()

    async def answers(inv: Invocation, responder: Responder) -> Reply:
        responder.progress(Progress(name="web", lines=["begun"]))
        await asyncio.to_thread(warned.wait, 30)
        return Reply(blocks=(Text(text="restarted"),))

    monkeypatch.setattr(caller_connection.CallerConnection, "warn_still_running", warn_still_running)
    bot.answers = answers
    out = Pressing("begun")
    shown, _ = await console(bot, "restart web", out=out)
    assert shown == "begun\nrestarted\n" and "cancelled" not in bot.ended
    assert "The change is running" in capsys.readouterr().err


async def test_a_bot_that_dies_is_not_asked_again_and_the_next_line_runs_here(
    bot: RunningBot, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answers(inv: Invocation, responder: Responder) -> Reply:
        bot.stop.set()
        raise errors.QuarterdeckError("gone")

    bot.answers = answers

    async def lines() -> AsyncIterator[str]:
        yield "restart web"
        await asyncio.to_thread(bot.thread.join, 30)
        yield "ps"

    own, out = Own(), io.StringIO()
    async with supervise.Supervisor() as supervisor:
        await terminal.run_prompt(
            own,  # type: ignore[arg-type]
            terminal.identity(bot.state),
            catalogue=CATALOGUE,
            lines=lines(),
            supervisor=supervisor,
            out=out,
            elsewhere=line_forwarder.LineForwarder(supervisor, bot.env, out=out).run,
        )
    assert [inv.line for inv in bot.asked] == ["restart web"]
    assert own.lines == ["ps"] and out.getvalue().endswith("own ps\n")
    assert client_exchange.LOST in capsys.readouterr().err


async def test_a_console_with_other_settings_runs_its_lines_itself(bot: RunningBot) -> None:
    bot.env["QUARTERDECK_ENGINES"] = '[{"url": "unix:///elsewhere.sock"}]'
    assert await console(bot, "ps") == ("own ps\n", ["ps"])
    assert not bot.asked


class Pressing(io.StringIO):
    """An output at which somebody presses Ctrl-C as soon as it shows a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._text and self._text in self.getvalue():
            self._text = ""
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        return written
