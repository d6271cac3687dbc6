"""Hides secrets in the JSON documents of engines: the values of environment variables, and every secret that
`core.text.redact` detects."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from typing import Any

from core.text.redact import MASK, redact, redact_value

# `-e`, and `-dite`: short flags without values may come before the `e`.
_ENV_FLAG = re.compile(r"-[a-zA-Z]*e")
_ENV_GLUED = re.compile(r"-(?!-)[a-zA-Z]*?e(?=\w+=)")


def redact_document(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy with all values of environment variables masked, and with all other texts redacted, because of
    their own format or of their key."""
    return {key: _redact_inside(str(key), value) for key, value in mask_env_values(copy.deepcopy(document)).items()}


def mask_env_values(document: dict[str, Any]) -> dict[str, Any]:
    """Masks all values of environment variables in a document, in place: in environment lists and mappings, and after
    `-e` and `--env` in command lines. Returns the document."""
    _mask_inside(document)
    return document


def contains_env_values(command: Sequence[str]) -> bool:
    """Whether a command line contains values of environment variables."""
    before = ""
    for word in command:
        if "=" in word and (before == "--env" or _ENV_FLAG.fullmatch(before)):
            return True
        if word.startswith("--env=") or _ENV_GLUED.match(word):
            return True
        before = word
    return False


def _redact_inside(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return redact_value(name, value)
    if isinstance(value, dict):
        return {key: _redact_inside(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redact_inside(name, inner) for inner in value]
    return value


def _mask_inside(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = str(key).lower()
            if name in ("env", "envs", "environment"):
                value[key] = _mask_env(inner)
            elif name in ("createcommand", "cmd", "command", "args", "entrypoint") and isinstance(inner, list):
                value[key] = _mask_command(inner)
            elif isinstance(inner, str):
                value[key] = _mask_json_text(inner)
            else:
                _mask_inside(inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, str):
                value[number] = _mask_json_text(inner)
            else:
                _mask_inside(inner)


def _mask_json_text(text: str) -> str:
    """Masks values in JSON that is a string of the document (annotation
    `kubectl.kubernetes.io/last-applied-configuration`)."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        inside = json.loads(text)
    except (ValueError, RecursionError):
        return text
    before = json.dumps(inside)
    _mask_inside(inside)
    after = json.dumps(inside)
    return text if after == before else after


def _mask_env(env: Any) -> Any:
    if isinstance(env, dict):
        return {key: value if value in ("", None) else MASK for key, value in env.items()}
    if isinstance(env, list):
        return [_mask_item(entry) for entry in env]
    return _mask_entry(env) if isinstance(env, str) else env


def _mask_item(entry: Any) -> Any:
    if isinstance(entry, str):
        return _mask_entry(entry)
    if isinstance(entry, dict):
        return {key: MASK if str(key).lower() == "value" and value else value for key, value in entry.items()}
    return entry


def _mask_entry(entry: str) -> str:
    name, equals, value = entry.partition("=")
    return f"{name}={MASK}" if equals and value else entry


def _mask_command(command: Sequence[Any]) -> list[Any]:
    hidden: list[Any] = []
    before = ""
    for word in command:
        if not isinstance(word, str):
            hidden.append(word)
        elif before == "--env" or _ENV_FLAG.fullmatch(before):
            hidden.append(_mask_entry(word))
        elif word.startswith("--env="):
            hidden.append("--env=" + _mask_entry(word.removeprefix("--env=")))
        elif glued := _ENV_GLUED.match(word):
            hidden.append(glued[0] + _mask_entry(word[glued.end() :]))
        else:
            # `--password` and its value may be two items of the list.
            flag = redact(f"{before} {word}")
            hidden.append(MASK if before.startswith("--") and flag == f"{before} {MASK}" else redact(word))
        before = word if isinstance(word, str) else ""
    return hidden
