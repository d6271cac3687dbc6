"""The `slack` section: where its settings may come from, which win, and what is never shown of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import load as config_load
from core.config.field_types import ListenAddress
from core.errors import ConfigError

BOTH = "slack: {bot_token: xoxb-1, app_token: xapp-1}"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str = "", **environ: str) -> config_load.Config:
    Path("quarterdeck.yaml").write_text(text)
    return config_load.load(None, environ)


def slack(text: str = "", **environ: str) -> config_load.Slack:
    loaded = load(text, **environ).slack
    assert loaded is not None
    return loaded


def tokens(section: config_load.Slack) -> tuple[str | None, ...]:
    return tuple(
        secret and secret.get_secret_value()
        for secret in (section.bot_token, section.app_token, section.signing_secret)
    )


def mistakes(text: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, **environ)
    return [f"{problem.source}: {problem.path}: {problem.what}" for problem in caught.value.problems]


def test_without_the_section_there_is_no_chat() -> None:
    assert load().slack is None
    assert load("slack:\n  # all commented out\n").slack is None
    assert load("slack: off").slack is None
    assert load("slack: false").slack is None


def test_defaults() -> None:
    section = slack(BOTH)
    assert tokens(section) == ("xoxb-1", "xapp-1", None)
    assert (section.mode, section.command, section.direct, section.guests) == ("socket", "/deck", (), False)
    assert section.listen == ListenAddress("0.0.0.0", 3000)


def test_http_mode_needs_no_app_token_and_socket_mode_no_signing_secret() -> None:
    section = slack("slack: {mode: http, bot_token: xoxb-1, signing_secret: abc, listen: '[::1]:8080'}")
    assert tokens(section) == ("xoxb-1", None, "abc")
    assert section.listen == ListenAddress("::1", 8080)
    # Both may be there all the same: who has an app often has all three set.
    assert tokens(slack("slack: {bot_token: xoxb-1, app_token: xapp-1, signing_secret: abc}"))[2] == "abc"


def test_the_names_everyone_knows_switch_it_on() -> None:
    section = slack(SLACK_BOT_TOKEN="xoxb-e", SLACK_APP_TOKEN="xapp-e", SLACK_SIGNING_SECRET="abc")
    assert tokens(section) == ("xoxb-e", "xapp-e", "abc")
    assert section.mode == "socket"
    Path(".env").write_text("SLACK_BOT_TOKEN=xoxb-d\nSLACK_APP_TOKEN=xapp-d\n")
    assert tokens(slack()) == ("xoxb-d", "xapp-d", None)
    assert tokens(slack(SLACK_APP_TOKEN="xapp-e")) == ("xoxb-d", "xapp-e", None)
    assert load(SLACK_BOT_TOKEN=" ", SLACK_APP_TOKEN="").slack is not None  # an empty variable is none, `.env` holds


def test_ours_win_over_the_names_everyone_knows(tmp_path: Path) -> None:
    known = {"SLACK_BOT_TOKEN": "xoxb-e", "SLACK_APP_TOKEN": "xapp-e"}
    assert tokens(slack("slack: {bot_token: xoxb-y}", **known)) == ("xoxb-y", "xapp-e", None)
    assert tokens(slack(QUARTERDECK_SLACK__BOT_TOKEN="xoxb-q", **known)) == ("xoxb-q", "xapp-e", None)
    Path("token").write_text("xoxb-f\n")
    Path("token").chmod(0o600)
    assert tokens(slack("slack: {bot_token_file: token}", **known)) == ("xoxb-f", "xapp-e", None)
    assert tokens(slack(QUARTERDECK_SLACK__BOT_TOKEN_FILE=str(tmp_path / "token"), **known))[0] == "xoxb-f"
    Path(".env").write_text("QUARTERDECK_SLACK__APP_TOKEN=xapp-d\n")
    assert tokens(slack("slack: {app_token: xapp-y}", **known)) == ("xoxb-e", "xapp-d", None)


def test_it_can_be_kept_off_where_the_names_everyone_knows_are_set() -> None:
    known = {"SLACK_BOT_TOKEN": "xoxb-e", "SLACK_APP_TOKEN": "xapp-e"}
    assert load("slack: off", **known).slack is None
    assert load(QUARTERDECK_SLACK="off", **known).slack is None
    assert load(BOTH, QUARTERDECK_SLACK="off").slack is None


def test_the_environment_can_say_everything() -> None:
    section = slack(
        QUARTERDECK_SLACK__MODE="http",
        QUARTERDECK_SLACK__BOT_TOKEN="xoxb-q",
        QUARTERDECK_SLACK__SIGNING_SECRET="abc",
        QUARTERDECK_SLACK__LISTEN=":3001",
        QUARTERDECK_SLACK__COMMAND="/qd",
        QUARTERDECK_SLACK__DIRECT="ps, /logs",
        QUARTERDECK_SLACK__GUESTS="true",
    )
    assert (section.mode, section.command, section.direct, section.guests) == ("http", "/qd", ("ps", "logs"), True)
    assert section.listen == ListenAddress("", 3001)
    assert slack(BOTH, QUARTERDECK_SLACK__DIRECT='["ps"]').direct == ("ps",)


def test_what_stands_around_a_token_is_not_part_of_it() -> None:
    section = slack('slack: {bot_token: " xoxb-1\\n", app_token: "xapp-1\\r\\n", signing_secret: "\\tabc "}')
    assert tokens(section) == ("xoxb-1", "xapp-1", "abc")
    assert tokens(slack(SLACK_BOT_TOKEN="xoxb-1\n", SLACK_APP_TOKEN=" xapp-1 ")) == ("xoxb-1", "xapp-1", None)
    assert slack(BOTH, QUARTERDECK_SLACK__COMMAND=" /deck ").command == "/deck"


def test_a_command_may_have_32_characters_and_no_more() -> None:
    longest = "/" + "d" * 31
    assert slack(BOTH, QUARTERDECK_SLACK__COMMAND=longest).command == longest
    for wrong in (longest + "d", "/the deck"):
        assert mistakes(BOTH, QUARTERDECK_SLACK__COMMAND=wrong) == [
            "QUARTERDECK_SLACK__COMMAND: slack.command: must be one word of at most 32 characters"
        ]
    for wrong in ("/", "deck"):
        assert mistakes(BOTH, QUARTERDECK_SLACK__COMMAND=wrong) == [
            "QUARTERDECK_SLACK__COMMAND: slack.command: must be a word that begins with /"
        ]


def test_what_is_missing_is_told_with_the_variable_that_asks_for_it() -> None:
    assert mistakes(SLACK_BOT_TOKEN="xoxb-e") == ["SLACK_BOT_TOKEN: slack.app_token: is missing, socket mode needs it"]
    Path(".env").write_text("SLACK_SIGNING_SECRET=abc\n")
    assert mistakes("slack: {mode: http}") == ["quarterdeck.yaml: slack.bot_token: is missing, http mode needs it"]
    assert mistakes() == [
        ".env: SLACK_SIGNING_SECRET: slack.app_token: is missing, socket mode needs it",
        ".env: SLACK_SIGNING_SECRET: slack.bot_token: is missing, socket mode needs it",
    ]


@pytest.mark.parametrize("name", ["bot_token", "app_token", "signing_secret"])
@pytest.mark.parametrize(
    "secret",
    ["xoxb-hunter2", "xapp-hunter2", "xoxp-hunter2", "xoxe.xoxb-1-hunter2", "xoxe-1-hunter2", "hunter2", "hunter2 é"],
)
def test_no_secret_is_shown_whatever_is_wrong(name: str, secret: str) -> None:
    variable = f"QUARTERDECK_SLACK__{name.upper()}"
    for environ in ({variable: secret}, {f"{variable}_FILE": secret}, {f"SLACK_{name.upper()}": secret}):
        try:
            shown = repr(load("slack: {mode: http, listen: nowhere, command: hm}", **environ))
        except ConfigError as error:
            shown = error.full_message()
        if not (secret.startswith("hunter2") and f"{variable}_FILE" in environ):  # a name of a file like any other
            assert "hunter2" not in shown
    with pytest.raises(ConfigError) as caught:
        load(f"slack: {secret}")
    assert "hunter2" not in caught.value.full_message()
    assert "hunter2" not in repr(slack("slack: {bot_token: xoxb-hunter2, app_token: xapp-hunter2}"))


def test_direct_words_are_checked_against_the_commands_there_are() -> None:
    loaded = load(BOTH, QUARTERDECK_SLACK__DIRECT="ps,restat,xyz")
    with pytest.raises(ConfigError) as caught:
        config_load.check_slack_commands(loaded, ["ps", "restart"])
    assert [problem.full_message() for problem in caught.value.problems] == [
        "slack.direct.1: there is no command “restat”\n    hint: Did you mean restart?",
        "slack.direct.2: there is no command “xyz”\n    hint: Use one of these commands: ps, restart.",
    ]
    config_load.check_slack_commands(loaded, ["ps", "restat", "xyz"])
    config_load.check_slack_commands(load(), [])
