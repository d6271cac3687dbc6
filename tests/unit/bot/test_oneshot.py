"""Tests what one command prints beside its reply."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from bot.console import oneshot
from core import logs


def settings(level: str, form: str = "auto") -> Any:
    return SimpleNamespace(log=SimpleNamespace(level=level, format=form))


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logs.configure()


def test_one_command_prints_no_line_about_its_engines(capsys: pytest.CaptureFixture[str]) -> None:
    oneshot._configure_logs(settings("info"))
    structlog.get_logger("x").info("a daemon manages a Swarm", engine="docker/h1")
    assert capsys.readouterr().err == ""


def test_a_warning_is_a_sentence_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    oneshot._configure_logs(settings("info"))
    structlog.get_logger("x").warning("two engines are one")
    err = capsys.readouterr().err
    assert "two engines are one" in err
    assert "{" not in err


def test_what_the_configuration_asks_for_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    oneshot._configure_logs(settings("debug", "json"))
    structlog.get_logger("x").info("a daemon manages a Swarm")
    assert '"message":' in capsys.readouterr().err
