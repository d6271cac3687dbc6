"""Tests whose settings agree with those of the running bot, and where a caller looks for the bot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.console import caller_settings
from core.config import load, locations

BOT = {"QUARTERDECK_ENGINES": "[1]", "DOCKER_HOST": "tcp://prod", "QUARTERDECK_SLACK__BOT_TOKEN": "xoxb-1"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locations, "DEFAULT_FILES", (locations.FILE_NAME,))


def agree(caller: dict[str, str], named: str = "", bot: dict[str, str] | None = None, bots_file: str = "") -> bool:
    mine = caller_settings.read(named, caller)
    return caller_settings.agree(mine.sources, caller_settings.read(bots_file, BOT if bot is None else bot).sources)


@pytest.mark.parametrize(
    ("caller", "agrees"),
    [
        ({}, True),  # a login shell without the unit's variables
        (BOT, True),
        ({"quarterdeck_engines": "[1]"}, True),  # names of settings have no case
        ({"QUARTERDECK_ENGINES": "[2]"}, False),
        ({"QUARTERDECK_ENGINES": " "}, True),  # compose passes empty variables
        ({"QUARTERDECK_CONFIRM__TTL": "1m"}, False),
        ({"DOCKER_HOST": "tcp://staging"}, False),
        ({"CONTAINER_HOST": "unix:///run/other.sock"}, False),
        ({"QUARTERDECK_SLACK__BOT_TOKEN": "xoxb-2", "QUARTERDECK_METRICS__LISTEN": ":1"}, True),
        ({"QUARTERDECK_LOG__LEVEL": "debug", "QUARTERDECK_STATE": "/elsewhere"}, True),  # the directory is compared
    ],
)
def test_what_the_caller_sets_agrees_and_the_rest_follows_the_bot(caller: dict[str, str], agrees: bool) -> None:
    assert agree(caller) is agrees


def test_a_file_agrees_by_its_path_and_content(tmp_path: Path) -> None:
    prod, staging = tmp_path / "prod.yaml", tmp_path / "staging.yaml"
    prod.write_text("engines: [{url: tcp://prod:1}]\n")
    staging.write_text(prod.read_text())
    assert agree({}, str(prod), bots_file=str(prod))
    assert not agree({}, str(staging), bots_file=str(prod)), "relative paths in it would be others"
    assert not agree({}, str(prod)), "the bot has no file"
    assert agree({}, bots_file=str(prod)), "the caller has no file"
    (tmp_path / "link.yaml").symlink_to(prod)
    assert agree({}, "link.yaml", bots_file=str(prod))
    assert agree({"QUARTERDECK_CONFIG": "prod.yaml"}, bots_file=str(prod))
    bots = caller_settings.read(str(prod), {}).sources
    prod.write_text("engines: [{url: tcp://prod:2}]\n")
    assert not caller_settings.agree(caller_settings.read(str(prod), {}).sources, bots), "it was edited since"
    assert not caller_settings.agree(caller_settings.read(str(prod), {}).sources, caller_settings.NONE_AGREES)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "/dev/null", "pipe"])
def test_what_is_no_ordinary_file_agrees_with_nothing_and_is_not_read(name: str) -> None:
    os.mkfifo("pipe")
    assert not agree({}, name, bots_file=name)


def test_a_dotenv_with_settings_has_to_be_the_bots() -> None:
    Path(".env").write_text("SLACK_BOT_TOKEN=xoxb-1\n")
    assert agree({}), "it has no setting that a reply depends on"
    bots = caller_settings.read("", BOT).sources
    Path(".env").write_text("quarterdeck_limits__read=1/s\n")
    assert not caller_settings.agree(caller_settings.read("", {}).sources, bots)
    assert agree({})


@pytest.mark.parametrize(
    "written",
    [
        "",
        "# state: /no\nlog: {level: debug}\n",
        "state: /var/lib/q\n",
        "---\nlog:\n  level: debug\nstate:   '/var/lib/q q'  # here\n",
        'engines:\n- {url: "tcp://h:1"}\nstate: "~/q"\n',
        "grants:\n  - {who: a, can: [ps], on: {state: /x}}\n",
        "\ufeffstate: /var/lib/q\n",
    ],
)
def test_a_plain_state_is_found_as_the_configuration_has_it(written: str) -> None:
    Path(locations.FILE_NAME).write_text(written)
    data = load.sources.read_all(None, {}, load.Config).data
    expected = Path(data.get("state") or locations.default_state(os.environ)).expanduser()
    assert caller_settings.read("", os.environ).state == str(expected)


@pytest.mark.parametrize(
    "written",
    [
        "{state: /x}\n",
        "'state': /x\n",
        "state: relative\n",
        "state: *x\n",
        "state: >\n  /x\n",
        "state: /x\nstate: /y\n",
        "  state: /x\n",
        "<<: {state: /x}\n",
        "a: &a {state: /x}\n<<: *a\n",
        'state: "/x\\x41"#\n',
        "? state\n: /x\n",
        "log: {}\n--- \nstate: ~\n",
    ],
)
def test_a_state_that_only_yaml_understands_is_unclear(written: str) -> None:
    Path(locations.FILE_NAME).write_text(written)
    assert caller_settings.read("", {}).state == ""


def test_a_variable_names_the_state_directory(tmp_path: Path) -> None:
    Path(locations.FILE_NAME).write_text("{state: /unclear}")
    assert caller_settings.read("", {"QUARTERDECK_STATE": "here"}).state == str(tmp_path / "here")
    assert caller_settings.read("", {"quarterdeck_state": "/there"}).state == "/there"
    Path(locations.FILE_NAME).unlink()
    Path(".env").write_text("QUARTERDECK_STATE=/from/dotenv\n")
    assert caller_settings.read("", {}).state == "", "only the whole configuration reads .env"
