"""Compares the settings of `quarterdeck do`, the caller, with those of the running bot. The bot runs the command only
if both would give the same reply.

`quarterdeck do -c staging.yaml` must not be answered by the bot of `prod.yaml` that has the same state directory. What
the caller sets must agree with the bot: the path and content of the configuration file, `.env`, and each environment
variable. For everything else, the bot's settings are used, so a login shell without the unit's variables can also reach
the bot. Contents are compared by their digests, because they may hold secrets. Sections that do not affect a reply,
such as Slack's, are not compared.

The state directory is found without a YAML parser: `state:` must be an ordinary line of the file. If anything is
unclear, the caller runs the command itself. This module imports few modules, so that the client starts fast.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat

from core.config import locations

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAX_BYTES = 1 << 20
# What only the process of the bot uses, or what is compared otherwise.
NOT_COMPARED = ("CONFIG", "LOG", "METRICS", "REQUIRE_ENGINES", "SLACK", "STATE")
# Which engines are found without `engines` in the configuration, and which logins are used.
ENGINE_VARIABLES = (
    "CONTAINER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
)
# The sources of a bot whose file is not in force as it is: no caller that has a file agrees with them.
NONE_AGREES: Mapping[str, Any] = {"file": None, "dotenv": None, "variables": {}}
_PLAIN_STATE = re.compile(r"state[ \t]*:[ \t]+(['\"]?)((?:~/|/)[^'\"#]*?)\1[ \t]*(?:[ \t]#.*)?")
_OTHER_KEY = re.compile(r"[A-Za-z_]+[ \t]*:(?:[ \t].*)?")


class UnclearSettingsError(Exception):
    """Only the whole configuration tells what the caller set."""


class CallerSettings:
    """What one process sets. `state`: its state directory, an absolute path; empty if it is unclear. `sources`: what is
    compared, as JSON values: `file` and `dotenv` as path and digest, or None; `variables`: digests by name."""

    __slots__ = ("sources", "state")

    def __init__(self, state: str, sources: Mapping[str, Any]) -> None:
        self.state = state
        self.sources = sources


def read(named: str, environ: Mapping[str, str]) -> CallerSettings:
    """Reads what a process sets. `named`: the file given by `--config`, or an empty string. Never raises: a file that
    cannot be read has an empty digest, and agrees with nothing."""
    file = locations.find_config_file(named, environ)
    written = _content(file) if file else b""
    dotenv = _content(locations.DOTENV) if locations.may_exist(locations.DOTENV) else b""
    variables = {name.upper(): value for name, value in environ.items() if value.strip()}
    try:
        state = _state(variables, written, dotenv, environ)
    except UnclearSettingsError:
        state = ""
    compared = {name: value for name, value in variables.items() if _is_compared(name)}
    return CallerSettings(
        state,
        {
            "file": [os.path.realpath(file), _digest(written)] if file else None,
            "dotenv": [os.path.realpath(locations.DOTENV), _digest(dotenv)] if _has_settings(dotenv) else None,
            "variables": {name: _digest(value.encode("utf-8", "surrogateescape")) for name, value in compared.items()},
        },
    )


def agree(mine: Mapping[str, Any], bots: Mapping[str, Any]) -> bool:
    """Returns whether all that the caller sets is set in the same way for the bot."""
    for key in ("file", "dotenv"):
        if mine[key] is not None and (mine[key] != bots.get(key) or not mine[key][1]):
            return False
    known = bots.get("variables")
    return isinstance(known, dict) and all(known.get(name) == digest for name, digest in mine["variables"].items())


def _is_compared(name: str) -> bool:
    if name in ENGINE_VARIABLES:
        return True
    section = name.removeprefix(locations.PREFIX).partition("__")[0]
    return name.startswith(locations.PREFIX) and section not in NOT_COMPARED


def _content(file: str) -> bytes | None:
    """Returns the content of a regular file. Others, such as a pipe, can be read only once, so they are not touched."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return None
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError):
        return None
    return data if len(data) <= MAX_BYTES else None


def _digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _has_settings(dotenv: bytes | None) -> bool:
    return dotenv is None or locations.PREFIX.encode() in dotenv.upper()


def _state(variables: Mapping[str, str], file: bytes | None, dotenv: bytes | None, environ: Mapping[str, str]) -> str:
    named = variables.get(f"{locations.PREFIX}STATE", "")
    if not named and (dotenv is None or f"{locations.PREFIX}STATE".encode() in dotenv.upper()):
        raise UnclearSettingsError
    return os.path.abspath(os.path.expanduser(named or _state_in(file) or locations.default_state(environ)))


def _state_in(file: bytes | None) -> str:
    """Returns the value of `state:` in a YAML file, or an empty string. Raises UnclearSettingsError."""
    try:
        lines = (file or b"").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UnclearSettingsError from None
    if file is None:
        raise UnclearSettingsError
    found, first = "", True
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#") or line.rstrip() == "---":
            continue
        if line[0] in " \t-" and not first:  # inside a section
            continue
        first = False
        plain = _PLAIN_STATE.fullmatch(line)
        if plain is not None and not found:
            found = plain[2].strip()
        elif line.startswith("state") or not _OTHER_KEY.fullmatch(line):
            raise UnclearSettingsError
    return found
