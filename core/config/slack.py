"""The `slack` section: how the bot reaches the workspace, with which tokens, and under which words it is called.

Tokens are told apart by how they begin, since they are copied from three places that look alike. None is ever quoted in
a sentence about it. Which of them must be there depends on the mode.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr, ValidationInfo, field_validator

from core.config import types
from core.config.section import Section

LONGEST_COMMAND = 32  # characters, the / among them; Slack takes no more
KINDS = {
    "xoxb-": "a bot token",
    "xapp-": "an app token",
    "xoxp-": "a user token",
    "xoxe": "a token that expires after 12 hours",
}
BEGINS = {"bot_token": "xoxb-", "app_token": "xapp-"}
CURES = {
    "bot_token": "Copy the Bot User OAuth Token (xoxb-…) from the app's OAuth & Permissions page.",
    "app_token": "Make one (xapp-…) on the app's Basic Information page, under App-Level Tokens, with the scope"
    " connections:write.",
    "signing_secret": "Copy the Signing Secret from the app's Basic Information page.",
}
NEEDED = {"bot_token": ("socket", "http"), "app_token": ("socket",), "signing_secret": ("http",)}
WITHOUT = "To run without Slack write `slack: off`."


def _address(value: Any) -> types.Listen:
    if value is False or value in ("off", "none"):
        raise types.wrong("cannot be off", "With `mode: socket` nothing listens and no address is needed.")
    if (read := types.address(value)) is None:
        raise types.wrong("must be HOST:PORT", "Write 0.0.0.0:3000, [::1]:3000, or :3000 for all addresses.")
    return read


def _command(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    word = value.strip()
    if not word.startswith("/") or word == "/":
        raise types.wrong("must be a word that begins with /", "Write it as people type it, such as /deck.")
    if len(word) > LONGEST_COMMAND or len(word.split()) > 1:
        raise types.wrong(f"must be one word of at most {LONGEST_COMMAND} characters", "Slack takes no other.")
    return word


def _direct(value: Any) -> Any:
    """The names of commands, with or without the / they will be called by."""
    value = types.split(value)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return value
    words = [word.strip().removeprefix("/") for word in value]
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise types.wrong(f"{twice[0]} is listed twice", "Keep one of them.")
    return words


class Slack(Section):
    """The Slack app people speak through. Absent: no chat. SLACK_BOT_TOKEN, SLACK_APP_TOKEN and SLACK_SIGNING_SECRET in
    the environment or `.env` switch it on as well and yield to what is written here; `slack: off` keeps it off."""

    mode: Literal["socket", "http"] = Field(
        default="socket",
        description="socket (the bot calls Slack, no public address needed) or http (Slack calls the bot, requests are"
        " signed).",
    )
    bot_token: SecretStr = Field(
        default=None,
        validate_default=True,
        description="The Bot User OAuth Token, from the app's OAuth & Permissions page. Better `bot_token_file`.",
        examples=["bot_token: xoxb-…"],
    )
    bot_token_file: Path | None = Field(
        default=None, description="A file that holds it.", examples=["bot_token_file: /run/secrets/slack_bot_token"]
    )
    app_token: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="Socket mode only: an app-level token with the scope connections:write, from the app's Basic"
        " Information page. Better `app_token_file`.",
        examples=["app_token: xapp-…"],
    )
    app_token_file: Path | None = Field(
        default=None, description="A file that holds it.", examples=["app_token_file: /run/secrets/slack_app_token"]
    )
    signing_secret: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="Http mode only: the Signing Secret, from the app's Basic Information page. Better"
        " `signing_secret_file`.",
        examples=["signing_secret: …"],
    )
    signing_secret_file: Path | None = Field(
        default=None,
        description="A file that holds it.",
        examples=["signing_secret_file: /run/secrets/slack_signing_secret"],
    )
    listen: Annotated[types.Listen, PlainValidator(_address)] = Field(
        default=types.Listen("0.0.0.0", 3000),  # noqa: S104 (Slack comes from outside, and every request is signed)
        description="Http mode only: HOST:PORT, or :PORT for all addresses, where Slack's requests arrive, at"
        " /slack/events.",
    )
    command: Annotated[str, BeforeValidator(_command)] = Field(
        default="/deck", description="The slash command's name, as the app was made with."
    )
    direct: Annotated[tuple[types.Word, ...], BeforeValidator(_direct)] = Field(
        default=(),
        description="Commands that also have a slash command of their own. None, since the workspace's other apps may"
        " have taken the name.",
        examples=["direct: [ps, logs, restart]"],
    )
    api_url: str = Field(
        default="https://slack.com/api/",
        pattern=r"^https?://[^\s/]+(/[^\s]*)?/$",
        description="Slack's Web API, ending in /; for GovSlack https://slack-gov.com/api/.",
    )
    guests: bool = Field(default=False, description="Whether guests of the workspace may speak to it.")

    @field_validator("bot_token", "app_token", "signing_secret", mode="before")
    @classmethod
    def _right_token(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, str):
            value = value.strip() or None
        if value is None:
            if (mode := info.data.get("mode")) in NEEDED[name]:
                raise types.wrong(f"is missing, {mode} mode needs it", f"{CURES[name]} {WITHOUT}")
            return None
        if isinstance(value, str):
            _check(name, value)
        return value


def _check(name: str, token: str) -> None:
    """Raises a sentence that names the kind of token, never the token."""
    begins = BEGINS.get(name, "")
    for other, kind in KINDS.items():
        if other != begins and token.startswith(other):
            home = next((f"That belongs into `{field}`. " for field, its in BEGINS.items() if its == other), "")
            rotated = "Make an app without token rotation. " if other == "xoxe" else ""
            raise types.wrong(f"is {kind}: it begins with {other}", home + rotated + CURES[name])
    if not token.startswith(begins) or token == begins or not token.isascii() or len(token.split()) > 1:
        what = name.replace("_", " ")
        raise types.wrong(f"is not a whole {what}", CURES[name])
