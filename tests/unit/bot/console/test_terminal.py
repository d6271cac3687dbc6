"""What a terminal shows while a command runs, and after it."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any

import pytest

from bot.console import live_line, terminal, terminal_properties, terminal_responder
from commands.catalogue import load_catalogue
from core import supervise
from core.model.replies import Tone, text_reply
from core.ports import ActionStarted, Progress, Watched

BEGUN = ActionStarted(line="restart web", doing="restarting", names=["web"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """The lines as they stand there in the end."""
        shown = []
        for line in self.getvalue().split("\n"):
            last = line.replace("\x1b[K", "").split("\r")[-1]
            shown.append(last)
        return shown


def tick(second: int, **more: Any) -> Progress:
    return Progress(name="web", progress=f"waiting for it to stop, {second} of 10 s", ticking=True, **more)


def watched(**more: Any) -> Watched:
    return Watched(reply=text_reply("web restarted in 0.3 s. Watching web…"), stop="job stop 1@docker/h", **more)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


async def test_one_line_says_what_goes_on_and_the_reply_takes_its_place() -> None:
    out = Terminal()
    responder = terminal_responder.TerminalResponder(out)
    responder.started(BEGUN)
    for second in (3, 4):
        responder.progress(tick(second))
    assert out.screen == ["restarting web … waiting for it to stop, 4 of 10 s"]
    responder.watching(watched(end=print))
    assert out.screen == ["web restarted in 0.3 s. Watching web… (Ctrl-C ends the watching)"]
    await responder.finish(text_reply("web restarted in 0.3 s, healthy after 6 s.", Tone.GOOD))
    assert out.screen == ["web restarted in 0.3 s, healthy after 6 s.", ""]


async def test_where_lines_stay_each_step_is_one_line() -> None:
    out = io.StringIO()
    responder = terminal_responder.TerminalResponder(out)
    responder.started(BEGUN)
    for second in range(1, 9):
        responder.progress(tick(second))
        responder.progress(tick(second, read_only=True))
        responder.watching(watched(end=print))
    await responder.finish(text_reply("web restarted in 0.3 s, healthy after 6 s.", Tone.GOOD))
    assert out.getvalue().splitlines() == [
        "web: waiting for it to stop, 1 of 10 s",
        "web restarted in 0.3 s. Watching web…",
        "web restarted in 0.3 s, healthy after 6 s.",
    ]


def test_the_line_never_wraps_and_shows_no_escape_sequence() -> None:
    out = Terminal()
    line = live_line.LiveLine(out, terminal_properties.screen_of(out))
    line.show("世" * 100 + "\x1b[2J")
    (shown,) = out.screen
    assert shown == "世" * 39
    line.show("\x1b[2J evil")
    assert "\x1b[2J" not in out.getvalue()
    line.clear()
    assert out.screen == [""]


async def test_an_interrupt_ends_the_watching_and_not_the_change(capsys: pytest.CaptureFixture[str]) -> None:
    ended = asyncio.Event()

    class Dispatcher:
        async def answer(self, inv: object, responder: Any) -> Any:
            supervisor._on_interrupt[-1]()  # during the change
            responder.watching(watched(end=ended.set))
            supervisor._on_interrupt[-1]()
            await ended.wait()
            return text_reply("web restarted.")

    async with supervise.Supervisor() as supervisor:
        inv = terminal.invocation("restart web", SimpleNamespace(id="console:root"))  # type: ignore[arg-type]
        assert inv.verify
        reply = await terminal.answer(
            Dispatcher(),  # type: ignore[arg-type]
            inv,
            terminal_responder.TerminalResponder(io.StringIO()),
            catalogue=load_catalogue(),
            supervisor=supervisor,
        )
    assert reply is not None
    assert "The change is running and is waited for." in capsys.readouterr().err
