"""Defines the field types of the settings: identities, verb patterns, rate limits, durations, addresses.

Each validator returns a value, or raises an error with a sentence and a hint. pydantic adds the path of the setting.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from core.config import validation_errors
from core.model import actions
from core.model import policy as permissions

RISK_CLASSES = tuple(f"risk:{risk}" for risk in actions.Risk)
IDENTITY_SOURCES = ("console", "slack", "job", "rule")
# Broken JSON. If it were split at its commas, each piece would be reported as a mistake. A glob may also begin with [.
BROKEN_LIST = re.compile(r"\s*[\[{].*[\":]", re.DOTALL)
SLACK_PERSON = re.compile(r"[TE][A-Z0-9]+/[UW][A-Z0-9]+")
ENGINE_URL = (
    r"(unix|file):///.+|(tcp|http)://[^/@\s]+:\d+/?|context://[A-Za-z0-9][\w.+-]*"
    r"|ssh://([A-Za-z0-9_][\w.@+-]*@)?([A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w./@+-]*)?"
)
REGISTRY = re.compile(r"(http://)?[A-Za-z0-9*?][A-Za-z0-9.*?-]*(:\d{1,5})?|(http://)?\[[0-9A-Fa-f:]+\](:\d{1,5})?")
SECONDS_PER_UNIT = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def make_invalid_value_error(what: str, hint: str = "") -> PydanticCustomError:
    """The error that a validator raises; `core.config.validation_errors` turns it into a Problem."""
    return PydanticCustomError("sentence", "{what}", {"what": what, "hint": hint})


def split_list(value: Any) -> Any:
    """Splits comma-separated text where a list is expected."""
    if not isinstance(value, str) or BROKEN_LIST.match(value):
        return value
    return [word.strip() for word in value.split(",") if word.strip()]


def none_if_off(value: Any) -> Any:
    """Returns None for `off`."""
    return None if value is False or value == "off" else value


def duration_or_off(value: Any) -> Any:
    """Returns None for `off`, and what `duration` returns for anything else."""
    return (
        None
        if value is False or value == "off"
        else duration(value, hint="Write a number and a unit, such as 15m, 2h or 1d, or write off.")
    )


def identity(word: str) -> str:
    source, colon, rest = word.partition(":")
    if not colon or not rest or any(letter.isspace() for letter in word):
        raise make_invalid_value_error(
            f"“{word}” is not an identity", "Write a source and an id, such as console:alice or slack:T1/U1."
        )
    if source == "group":
        raise make_invalid_value_error(
            f"“{word}” is a group",
            f"This setting takes single people. For a group write {{who: {word}, can: admin}} under `grants`.",
        )
    if source not in IDENTITY_SOURCES:
        near = validation_errors.did_you_mean(source, (*IDENTITY_SOURCES, "group"))
        raise make_invalid_value_error(
            f"“{word}” begins with “{source}”, which is not a source of identities",
            near or f"Write one of these before the colon: {', '.join(IDENTITY_SOURCES)}.",
        )
    if source == "slack" and not SLACK_PERSON.fullmatch(rest):
        raise make_invalid_value_error(
            f"“{word}” is not a complete Slack identity",
            "Write slack:TEAM/USER, such as slack:T1/U1; `whoami` shows your own.",
        )
    return word


def registry_pattern(word: str) -> str:
    """`docker.io`, `*.example.com`, `registry.example:5000`, `http://10.0.0.7:5000`."""
    if not REGISTRY.fullmatch(word):
        raise make_invalid_value_error(
            f"“{word}” is not the address of a registry", "Write HOST or HOST:PORT, such as registry.example:5000."
        )
    return word


def _channel(word: str) -> str:
    if word.startswith("#"):
        raise make_invalid_value_error(
            f"“{word}” is a channel name, and anybody may change it",
            "Write the channel id, such as C0123ABCD. Slack shows it at the end of the channel details.",
        )
    return word


def _subject(word: str) -> str:
    if word == "everyone" or (word.startswith("group:") and not word.isspace() and len(word) > len("group:")):
        return word
    if ":" not in word:
        near = validation_errors.did_you_mean(word, ("everyone",))
        raise make_invalid_value_error(
            f"“{word}” is not a person or a group",
            near or "Write everyone, group:NAME, or an identity such as console:alice or slack:T1/U1.",
        )
    return identity(word)


def _verbs() -> tuple[str, ...]:
    """All verbs of engines and of the built-in commands."""
    return tuple(sorted(action.verb for action in actions.all_actions()))


def _verb(pattern: str) -> str:
    verbs = _verbs()
    if not fnmatch.filter(verbs, pattern):
        near = validation_errors.did_you_mean(pattern, verbs)
        raise make_invalid_value_error(
            f"“{pattern}” matches no verb", near or f"Use one of these verbs: {', '.join(verbs)}."
        )
    return pattern


def _restriction(word: str, info: ValidationInfo) -> str:
    """What a guard covers: as in a grant, or whatever ends running processes."""
    return word if word == permissions.ENDS else _power(word, info)


def _power(word: str, info: ValidationInfo) -> str:
    """A verb pattern, a role or a risk class."""
    if word == permissions.ENDS:
        raise make_invalid_value_error(
            "“ends” is only for guards", "Write a verb such as container.stop, a role or a risk class."
        )
    roles = (*permissions.ROLES, *(info.context or {}).get("roles", ()))
    if word in roles or word in RISK_CLASSES or fnmatch.filter(_verbs(), word):
        return word
    near = validation_errors.did_you_mean(word, (*_verbs(), *roles, *RISK_CLASSES))
    raise make_invalid_value_error(
        f"“{word}” is not a verb, a role or a risk class",
        near
        or f"Write a verb such as container.restart, a pattern such as container.*, a role ({', '.join(roles)})"
        f" or a risk class ({', '.join(RISK_CLASSES)}).",
    )


def role_name(word: str) -> str:
    if word == permissions.ENDS:
        raise make_invalid_value_error(
            "“ends” is a word of guards and cannot be a role", "Give your role another name."
        )
    if word in permissions.ROLES:
        raise make_invalid_value_error(
            f"“{word}” is a built-in role and cannot be redefined", "Give your role another name."
        )
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", word):
        raise make_invalid_value_error(
            f"“{word}” is not a valid role name", "Use lower-case letters, digits, - and _, and begin with a letter."
        )
    return word


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`count` commands in `period` seconds."""

    count: int
    period: int

    def __str__(self) -> str:
        return f"{self.count}/{next(unit for unit, seconds in SECONDS_PER_UNIT.items() if seconds == self.period)}"


def _limit(value: Any) -> RateLimit:
    if isinstance(value, RateLimit):
        return value
    match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(s|min|h)\s*", str(value))
    if match is None or int(match[1]) == 0:
        raise make_invalid_value_error(
            "must be a number of commands per second, minute or hour", "Write for example 30/min, 5/s or 100/h."
        )
    return RateLimit(int(match[1]), SECONDS_PER_UNIT[match[2]])


def duration(value: Any, *, hint: str = "Write a number and a unit, such as 90s, 5m, 2h or 1d.") -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"\s*(\d{1,9})\s*(s|m|min|h|d)\s*", str(value))
    if match is None:
        raise make_invalid_value_error("must be a duration with a unit", hint)
    return timedelta(seconds=int(match[1]) * SECONDS_PER_UNIT[match[2]])


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP address to listen on. An empty host means all addresses of this machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen_address(value: Any) -> ListenAddress | None:
    if value is None or isinstance(value, ListenAddress):
        return value
    if value is False or value in ("off", "none"):
        return None
    if (read := parse_address(value)) is None:
        raise make_invalid_value_error(
            "must be HOST:PORT or off", "Write for example 127.0.0.1:9108, or :9108 for all addresses, or off."
        )
    return read


def parse_address(value: Any) -> ListenAddress | None:
    """Parses HOST:PORT; returns None for anything else."""
    if isinstance(value, ListenAddress):
        return value
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:\[\]/]*):(\d{1,5})", str(value))
    if match is None or int(match[2]) > 65535:
        return None
    return ListenAddress(match[1].strip("[]"), int(match[2]))


def store_url(value: SecretStr) -> SecretStr:
    scheme, colon, rest = value.get_secret_value().partition("://")
    if scheme not in ("redis", "rediss", "unix") or not colon or not rest:
        raise make_invalid_value_error(
            "must be the address of a Redis or Valkey server",
            "Write redis://HOST:6379/0, rediss:// for TLS, or unix:///PATH.",
        )
    return value


def engine_url(value: str) -> str:
    if re.fullmatch(r"ssh://[^/@]*:[^/]*@.*", value):
        raise make_invalid_value_error(
            "contains a password, and ssh accepts no password from a program", "Use a key, and write ssh://USER@HOST."
        )
    if value.startswith("https://"):
        raise make_invalid_value_error("must not begin with https://", "Write tcp://HOST:2376, and add `tls:`.")
    if not re.fullmatch(ENGINE_URL, value, re.ASCII):
        raise make_invalid_value_error(
            "must be the address of an engine",
            "Write for example unix:///var/run/docker.sock, tcp://HOST:2376, ssh://USER@HOST or context://NAME; for oci"
            " file:///DIRECTORY.",
        )
    return value


def absolute_path(value: Path) -> Path:
    path = value.expanduser()
    if not path.is_absolute():
        raise make_invalid_value_error(f"“{value}” is not an absolute path", "Begin the path with / or ~/.")
    return path


NonEmptyStr = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Subject = Annotated[NonEmptyStr, AfterValidator(_subject)]
Channels = Annotated[
    tuple[Annotated[NonEmptyStr, AfterValidator(_channel)], ...], BeforeValidator(split_list), Field(min_length=1)
]
Words = Annotated[tuple[NonEmptyStr, ...], BeforeValidator(split_list), Field(min_length=1)]
Subjects = Annotated[tuple[Subject, ...], BeforeValidator(split_list), Field(min_length=1)]
Permissions = Annotated[
    tuple[Annotated[NonEmptyStr, AfterValidator(_power)], ...], BeforeValidator(split_list), Field(min_length=1)
]
Restrictions = Annotated[
    tuple[Annotated[NonEmptyStr, AfterValidator(_restriction)], ...], BeforeValidator(split_list), Field(min_length=1)
]
VerbPatterns = Annotated[
    tuple[Annotated[NonEmptyStr, AfterValidator(_verb)], ...], BeforeValidator(split_list), Field(min_length=1)
]
Rate = Annotated[RateLimit, PlainValidator(_limit)]
