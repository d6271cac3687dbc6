"""Tests the prompt of the console: it is painted first, and a line that is typed early waits for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from bot.console import interactive, prompt
from core import errors


@pytest.fixture
async def keys(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A keyboard, and a screen that shows nothing."""
    monkeypatch.setattr(prompt, "sys", SimpleNamespace(stdin=TTY, stdout=TTY))
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        yield keyboard


TTY = SimpleNamespace(isatty=lambda: True)


async def test_lines_are_typed_cleared_and_ended(keys: Any, tmp_path: Path) -> None:
    shown = prompt.Prompt(tmp_path / "state" / "history")
    keys.send_text("whoami\rhalf\x03ps -a\r\x04")
    assert [line async for line in shown.lines()] == ["whoami", "ps -a"]
    assert shown.painted.is_set()
    history = tmp_path / "state" / "history"
    assert "+ps -a" in history.read_text() and history.stat().st_mode & 0o777 == 0o600


async def test_a_history_that_cannot_be_kept_ends_nothing(keys: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keys.send_text("ps\r\x04")
    assert [line async for line in prompt.Prompt(tmp_path / "file" / "history").lines()] == ["ps"]


async def test_the_prompt_is_painted_before_anything_is_imported(
    keys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[prompt.Prompt] = []

    def remember(*words: Any) -> prompt.Prompt:
        made.append(prompt.Prompt(*words))
        return made[-1]

    def imported(name: str) -> Any:
        assert name == "bot.app" and made[0].painted.is_set()
        raise errors.StoreDown("It is down.")

    monkeypatch.setattr(interactive, "prompt", SimpleNamespace(Prompt=remember, GREETING=""))
    monkeypatch.setattr(interactive, "importlib", SimpleNamespace(import_module=imported))
    with pytest.raises(errors.StoreDown):
        await interactive.run_console(SimpleNamespace(state=tmp_path))  # type: ignore[arg-type]
    assert not [task for task in asyncio.all_tasks() if task.get_name() in ("first_line", "painted")]


async def lines(*given: str) -> AsyncIterator[str]:
    for line in given:
        yield line


async def test_the_line_that_was_typed_first_is_the_first() -> None:
    rest = lines("a", "b", "c")
    first = asyncio.get_running_loop().create_task(interactive._next(rest))
    assert [line async for line in interactive._resumed(first, rest)] == ["a", "b", "c"]
    nothing = asyncio.get_running_loop().create_task(interactive._next(rest))
    assert [line async for line in interactive._resumed(nothing, rest)] == []


async def test_a_console_that_is_stopped_before_a_line_has_none() -> None:
    first = asyncio.get_running_loop().create_task(interactive._next(lines("a")))
    first.cancel()
    assert [line async for line in interactive._resumed(first, lines("b"))] == []
