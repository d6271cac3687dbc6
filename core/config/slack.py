"""Defines the `slack` section of the configuration: mode, tokens, addresses, and the names of the slash commands.

The mode decides which tokens are required. Each kind of token is recognised by its prefix, because people copy them
from three pages that look alike. No message quotes a token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr, ValidationInfo, field_validator

from core.config import field_types
from core.config.base_section import Section

MAX_COMMAND_LENGTH = 32  # characters, including the /; Slack's limit
TOKEN_KINDS = {
    "xoxb-": "a bot token",
    "xapp-": "an app token",
    "xoxp-": "a user token",
    "xoxe": "a token that expires after 12 hours",
}
TOKEN_PREFIXES = {"bot_token": "xoxb-", "app_token": "xapp-"}
TOKEN_HINTS = {
    "bot_token": "Copy the Bot User OAuth Token (xoxb-…) from the app's OAuth & Permissions page.",
    "app_token": "Create one (xapp-…) on the app's Basic Information page, under App-Level Tokens, with the scope"
    " connections:write.",
    "signing_secret": "Copy the Signing Secret from the app's Basic Information page.",
}
REQUIRED_IN_MODES = {"bot_token": ("socket", "http"), "app_token": ("socket",), "signing_secret": ("http",)}
TO_DISABLE = "To run without Slack, write `slack: off`."


def _address(value: Any) -> field_types.ListenAddress:
    if value is False or value in ("off", "none"):
        raise field_types.make_invalid_value_error(
            "cannot be off", "Use `mode: socket` to run without a listening address."
        )
    if (read := field_types.parse_address(value)) is None:
        raise field_types.make_invalid_value_error(
            "must be HOST:PORT", "Write for example 127.0.0.1:3000, or :3000 for all addresses."
        )
    return read


def _command(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    word = value.strip()
    if not word.startswith("/") or word == "/":
        raise field_types.make_invalid_value_error(
            "must be a word that begins with /", "Write it as people type it, such as /deck."
        )
    if len(word) > MAX_COMMAND_LENGTH or len(word.split()) > 1:
        raise field_types.make_invalid_value_error(
            f"must be one word of at most {MAX_COMMAND_LENGTH} characters", "Choose a shorter name."
        )
    return word


def _direct(value: Any) -> Any:
    """Accepts names of commands with or without the leading /."""
    value = field_types.split_list(value)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return value
    words = [word.strip().removeprefix("/") for word in value]
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise field_types.make_invalid_value_error(f"{twice[0]} is listed twice", "Remove one of them.")
    return words


class Slack(Section):
    """The Slack app. Default: no chat. The variables SLACK_BOT_TOKEN, SLACK_APP_TOKEN and SLACK_SIGNING_SECRET (in the
    environment or `.env`) also enable it; the settings here override them. `slack: off` disables it in every case."""

    mode: Literal["socket", "http"] = Field(
        default="socket",
        description="socket (the bot connects to Slack; no public address needed) or http (Slack sends signed requests"
        " to the bot).",
    )
    bot_token: SecretStr = Field(
        default=None,
        validate_default=True,
        description="The Bot User OAuth Token, from the app's OAuth & Permissions page. `bot_token_file` is safer.",
        examples=["bot_token: xoxb-…"],
    )
    bot_token_file: Path | None = Field(
        default=None,
        description="Path of a file that contains the bot token.",
        examples=["bot_token_file: /run/secrets/slack_bot_token"],
    )
    app_token: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="Socket mode only: an app-level token with the scope connections:write, from the app's Basic"
        " Information page. `app_token_file` is safer.",
        examples=["app_token: xapp-…"],
    )
    app_token_file: Path | None = Field(
        default=None,
        description="Path of a file that contains the app-level token.",
        examples=["app_token_file: /run/secrets/slack_app_token"],
    )
    signing_secret: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="HTTP mode only: the Signing Secret, from the app's Basic Information page."
        " `signing_secret_file` is safer.",
        examples=["signing_secret: …"],
    )
    signing_secret_file: Path | None = Field(
        default=None,
        description="Path of a file that contains the signing secret.",
        examples=["signing_secret_file: /run/secrets/slack_signing_secret"],
    )
    listen: Annotated[field_types.ListenAddress, PlainValidator(_address)] = Field(
        default=field_types.ListenAddress("0.0.0.0", 3000),  # noqa: S104 (Slack comes from outside, and every request is signed)
        description="HTTP mode only: HOST:PORT, or :PORT for all addresses. Slack's requests arrive there, at"
        " /slack/events.",
    )
    command: Annotated[str, BeforeValidator(_command)] = Field(
        default="/deck", description="The name of the slash command; the same as in the Slack app's manifest."
    )
    direct: Annotated[tuple[field_types.NonEmptyStr, ...], BeforeValidator(_direct)] = Field(
        default=(),
        description="Commands that also get their own slash command. Default: none, because other apps of the workspace"
        " may use the same names.",
        examples=["direct: [ps, logs, restart]"],
    )
    api_url: str = Field(
        default="https://slack.com/api/",
        pattern=r"^https?://[^\s/]+(/[^\s]*)?/$",
        description="Base URL of Slack's Web API, with a final /. GovSlack: https://slack-gov.com/api/.",
    )
    guests: bool = Field(default=False, description="Whether guests of the workspace may use the bot.")

    @field_validator("bot_token", "app_token", "signing_secret", mode="before")
    @classmethod
    def _right_token(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, str):
            value = value.strip() or None
        if value is None:
            if (mode := info.data.get("mode")) in REQUIRED_IN_MODES[name]:
                raise field_types.make_invalid_value_error(
                    f"is missing, {mode} mode needs it", f"{TOKEN_HINTS[name]} {TO_DISABLE}"
                )
            return None
        if isinstance(value, str):
            _check(name, value)
        return value


def _check(name: str, token: str) -> None:
    """Raises an error that names the kind of token, never the token."""
    expected = TOKEN_PREFIXES.get(name, "")
    for other, kind in TOKEN_KINDS.items():
        if other != expected and token.startswith(other):
            move = next((f"Move it to `{field}`. " for field, prefix in TOKEN_PREFIXES.items() if prefix == other), "")
            rotated = "Use an app without token rotation. " if other == "xoxe" else ""
            raise field_types.make_invalid_value_error(
                f"is {kind}: it begins with {other}", move + rotated + TOKEN_HINTS[name]
            )
    if not token.startswith(expected) or token == expected or not token.isascii() or len(token.split()) > 1:
        what = name.replace("_", " ")
        raise field_types.make_invalid_value_error(f"is not a complete {what}", TOKEN_HINTS[name])
