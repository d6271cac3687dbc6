"""Hides secrets in the JSON documents of engines."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from typing import Any

from core.text.redact import MASK, redact, redact_value


def mask_env_values(document: dict[str, Any]) -> dict[str, Any]:
    """Hides, in place, the values of every environment in an engine's document, and of `-e` and `--env` in the command
    lines it keeps; returns the document."""
    _walk(document)
    return document


def redact_document(document: dict[str, Any]) -> dict[str, Any]:
    """A copy with every environment hidden, and in all other texts what looks like a secret, by itself or by the name
    it stands under."""
    return {key: _within(str(key), value) for key, value in mask_env_values(copy.deepcopy(document)).items()}


def _within(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return redact_value(name, value)
    if isinstance(value, dict):
        return {key: _within(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_within(name, inner) for inner in value]
    return value


def _walk(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            word = str(key).lower()
            if word in ("env", "envs", "environment"):
                value[key] = _hide(inner)
            elif word in ("createcommand", "cmd", "command", "args", "entrypoint") and isinstance(inner, list):
                value[key] = _hide_flags(inner)
            elif isinstance(inner, str):
                value[key] = _hide_json(inner)
            else:
                _walk(inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, str):
                value[number] = _hide_json(inner)
            else:
                _walk(inner)


def _hide_json(text: str) -> str:
    """JSON within JSON, as annotations hold it (`kubectl.kubernetes.io/last-applied-configuration`)."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        inside = json.loads(text)
    except (ValueError, RecursionError):
        return text
    before = json.dumps(inside)
    _walk(inside)
    after = json.dumps(inside)
    return text if after == before else after


def _hide(env: Any) -> Any:
    if isinstance(env, dict):
        return {key: value if value in ("", None) else MASK for key, value in env.items()}
    if isinstance(env, list):
        return [_hide_entry(entry) for entry in env]
    return _hidden(env) if isinstance(env, str) else env


def _hide_entry(entry: Any) -> Any:
    if isinstance(entry, str):
        return _hidden(entry)
    if isinstance(entry, dict):
        return {key: MASK if str(key).lower() == "value" and value else value for key, value in entry.items()}
    return entry


def _hidden(entry: str) -> str:
    name, equals, value = entry.partition("=")
    return f"{name}={MASK}" if equals and value else entry


# `-e`, and `-dite`: short flags without values may stand before it.
_ENV_FLAG = re.compile(r"-[a-zA-Z]*e")
_ENV_GLUED = re.compile(r"-(?!-)[a-zA-Z]*?e(?=\w+=)")


def contains_env_values(command: Sequence[str]) -> bool:
    """Whether a command line holds values of environment variables."""
    before = ""
    for word in command:
        if "=" in word and (before == "--env" or _ENV_FLAG.fullmatch(before)):
            return True
        if word.startswith("--env=") or _ENV_GLUED.match(word):
            return True
        before = word
    return False


def _hide_flags(command: Sequence[Any]) -> list[Any]:
    hidden: list[Any] = []
    before = ""
    for word in command:
        if not isinstance(word, str):
            hidden.append(word)
        elif before == "--env" or _ENV_FLAG.fullmatch(before):
            hidden.append(_hidden(word))
        elif word.startswith("--env="):
            hidden.append("--env=" + _hidden(word.removeprefix("--env=")))
        elif glued := _ENV_GLUED.match(word):
            hidden.append(glued[0] + _hidden(word[glued.end() :]))
        else:
            # `--password` and its value may be two words of the list.
            flag = redact(f"{before} {word}")
            hidden.append(MASK if before.startswith("--") and flag == f"{before} {MASK}" else redact(word))
        before = word if isinstance(word, str) else ""
    return hidden
