"""Defines three sections of the configuration. `webhooks`: the addresses to which incidents are sent. `alertmanager`:
the Alertmanagers to which incidents are sent, and from which alerts come. `heartbeat`: the address that Quarterdeck
calls regularly while it works.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from core.config import alert_routes, field_types
from core.config.alerts import SeverityName
from core.config.base_section import Section
from core.model.alert_routes import Matcher
from core.model.alerts import Severity

_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s#]*)?(\?[^\s#]*)?")
MIN_SECRET = 16  # characters


def _url(value: str) -> str:
    if "@" in value.partition("://")[2].partition("/")[0]:
        raise field_types.make_invalid_value_error(
            "contains a user or a password before an @",
            "Remove them. Servers in `alertmanager.send_to` have `username` and `password_file` instead.",
        )
    if not _URL.fullmatch(value):
        raise field_types.make_invalid_value_error("must be an http or https address", "Write https://HOST/PATH.")
    return value


def _secret_url(value: SecretStr) -> SecretStr:
    _url(value.get_secret_value())
    return value


def _secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_SECRET:
        raise field_types.make_invalid_value_error(
            f"is shorter than {MIN_SECRET} characters, so it can be guessed", "Make one with: openssl rand -base64 32"
        )
    return value


Url = Annotated[str, AfterValidator(_url)]
SecretUrl = Annotated[SecretStr, AfterValidator(_secret_url)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
_MISSING = "Write it, or name a file that contains it: "


class Webhook(Section):
    """One address that gets each incident as JSON."""

    url: SecretUrl | None = Field(
        default=None, description="The address that gets the incidents. If it contains a secret, `url_file` is safer."
    )
    url_file: Path | None = Field(default=None, description="A file that contains the address.")
    secret: Secret | None = Field(
        default=None, description="The key of the signatures, at least 16 characters. `secret_file` is safer."
    )
    secret_file: Path | None = Field(
        default=None, description="Path of a file that contains the key of the signatures."
    )
    severity: SeverityName = Field(
        default=Severity.LOW, description="high, medium or low: incidents below it are not sent."
    )

    match: alert_routes.Match = Field(
        default={}, description="Which incidents are sent, written as `match` of a route. Default: all."
    )

    @model_validator(mode="after")
    def _complete(self) -> Webhook:
        if self.url is None and self.url_file is None:
            raise field_types.make_invalid_value_error("has no url", f"{_MISSING}url_file.")
        if self.secret is None and self.secret_file is None:
            raise field_types.make_invalid_value_error(
                "has no secret, so its receiver could not check who sent an incident", f"{_MISSING}secret_file."
            )
        return self

    def matchers(self) -> tuple[Matcher, ...]:
        """Returns what `match` asks for as the code uses it."""
        return alert_routes.matchers(self.match)


class AlertmanagerServer(Section):
    """One Alertmanager that gets alerts."""

    url: Url = Field(description="The address of the Alertmanager, such as http://alertmanager:9093.")
    username: str = Field(default="", description="The user name for basic authentication.")
    password: SecretStr | None = Field(default=None, description="The password for basic authentication.")
    password_file: Path | None = Field(default=None, description="A file that contains the password.")
    token: SecretStr | None = Field(default=None, description="A bearer token, instead of a username.")
    token_file: Path | None = Field(default=None, description="A file that contains the token.")

    @model_validator(mode="after")
    def _one_way(self) -> AlertmanagerServer:
        if bool(self.username) != (self.password is not None):
            raise field_types.make_invalid_value_error(
                "has only one of username and password", "Write both (or `password_file`), or neither."
            )
        if self.username and self.token is not None:
            raise field_types.make_invalid_value_error("has a token and a username", "Remove one of them.")
        return self


class Alertmanager(Section):
    """Prometheus' Alertmanager: alerts that are sent to it (`send_to`), and alerts that it sends to Quarterdeck's HTTP
    server, at /api/alertmanager. Without `receive_token` or `receive_username`, nothing is received."""

    send_to: tuple[AlertmanagerServer, ...] = Field(
        default=(),
        max_length=10,
        description="The servers that get Quarterdeck's alerts: url, username, password, password_file, token,"
        " token_file.",
        examples=['send_to: [{url: "http://alertmanager:9093"}]'],
    )
    link: Url | None = Field(
        default=None,
        description="The address to which Alertmanager's messages link. Default: the metrics page.",
        examples=["link: https://deck.example.com/"],
    )
    receive_token: Secret | None = Field(
        default=None,
        description="The bearer token with which an Alertmanager sends alerts to Quarterdeck, at least 16 characters."
        " `receive_token_file` is safer.",
        examples=["receive_token: …"],
    )
    receive_token_file: Path | None = Field(
        default=None,
        description="Path of a file that contains the bearer token.",
        examples=["receive_token_file: /run/secrets/alertmanager_token"],
    )
    receive_username: field_types.NonEmptyStr | None = Field(
        default=None,
        description="The user name for basic authentication, instead of a token.",
        examples=["receive_username: alertmanager"],
    )
    receive_password: Secret | None = Field(
        default=None,
        description="The password of receive_username, at least 16 characters. `receive_password_file` is safer.",
        examples=["receive_password: …"],
    )
    receive_password_file: Path | None = Field(
        default=None,
        description="Path of a file that contains the password.",
        examples=["receive_password_file: /run/secrets/alertmanager_password"],
    )

    @model_validator(mode="after")
    def _complete(self) -> Alertmanager:
        if bool(self.receive_username) != (self.receive_password is not None):
            raise field_types.make_invalid_value_error(
                "has only one of receive_username and receive_password", "Write both, or use receive_token."
            )
        urls = [server.url.rstrip("/") for server in self.send_to]
        if twice := sorted({url for url in urls if urls.count(url) > 1}):
            raise field_types.make_invalid_value_error(f"sends to {twice[0]} twice", "Remove one of them.")
        return self

    @property
    def receives(self) -> bool:
        """Whether alerts are received."""
        return self.receive_token is not None or self.receive_password is not None


class Heartbeat(Section):
    """A service that raises an alarm when it receives no calls from Quarterdeck (a dead man's switch). It is
    called while Quarterdeck is ready: it watches an engine, the store answers, and the chat is connected."""

    url: SecretUrl | None = Field(
        default=None,
        description="The address that Quarterdeck calls with GET. Default: none. `url_file` is safer.",
        examples=["url: https://hc.example.com/ping/…"],
    )
    url_file: Path | None = Field(
        default=None,
        description="Path of a file that contains the address.",
        examples=["url_file: /run/secrets/heartbeat_url"],
    )
    every: Annotated[timedelta, BeforeValidator(field_types.duration)] = Field(
        default=timedelta(minutes=1),
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="Time between two calls.",
    )


def _name(word: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", word):
        raise field_types.make_invalid_value_error(
            f"“{word}” is not a name for a webhook", "Use at most 41 lower-case letters, digits and -."
        )
    return word


WebhookName = Annotated[str, AfterValidator(_name)]
