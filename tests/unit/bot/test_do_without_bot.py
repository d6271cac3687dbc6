"""Tests what one command prints beside its reply."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from bot.console import do_without_bot
from tests.helpers import log_settings
from tests.helpers.paths import ROOT


def settings(level: str, form: str = "auto") -> Any:
    return SimpleNamespace(log=SimpleNamespace(level=level, format=form))


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    with log_settings.restored():
        yield


def test_one_command_prints_no_line_about_its_engines(capsys: pytest.CaptureFixture[str]) -> None:
    do_without_bot._configure_logs(settings("info"))
    structlog.get_logger("x").info("An engine was found.", engine="docker/h1")
    assert capsys.readouterr().err == ""


def test_a_warning_is_a_sentence_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    do_without_bot._configure_logs(settings("info"))
    structlog.get_logger("x").warning("Two engines have the same id.")
    err = capsys.readouterr().err
    assert "Two engines have the same id." in err
    assert "{" not in err


def test_what_the_configuration_asks_for_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    do_without_bot._configure_logs(settings("debug", "json"))
    structlog.get_logger("x").info("An engine was found.")
    assert '"message":' in capsys.readouterr().err


# What the road from `do` to a list on a Docker engine does not need. Each takes time at every start.
NOT_FOR_A_LIST = (
    *("aiohttp", "apscheduler", "docker", "http.server", "pydantic_settings", "prometheus_client", "prompt_toolkit"),
    *("requests", "slack_sdk", "typer", "yaml", "bot.alert_action_runner", "bot.builtin_runtime", "bot.engine_watch"),
    *("bot.notify", "bot.rule_tests", "collectors", "core.metrics", "runtimes.swarm.engine"),
)
IMPORTS = f"""
import sys
from pathlib import Path
from core.config import load
load.load(None, {{"QUARTERDECK_CONFIG": "", "HOME": "/nowhere"}})
from bot.console import do_without_bot, one_command_runner, terminal
from bot import app, heartbeat
from runtimes import engine_registry
app.open_catalogue().find("ps")
engine_registry.engine_class("docker")
print([name for name in {NOT_FOR_A_LIST} if name in sys.modules])
print(sorted(name for name in sys.modules if name.startswith("commands.") and "command" in vars(sys.modules[name])))
"""


def test_a_list_imports_only_what_it_needs(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n['commands.containers.ps']\n", done.stdout + done.stderr
