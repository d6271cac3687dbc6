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

_COMMANDS = frozenset({"createcommand", "cmd", "command", "args", "entrypoint", "test", "exec", "execstart"})
_PROBE = "Zq7xW2"  # masked where a secret may be
_CONTEXT = 6  # words before a word that decide whether it is a secret


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
        # {"name": "DB_PASSWORD", "value": "…"}: the value's name is another field.
        named = next((str(inner) for key, inner in value.items() if str(key).lower() in ("name", "key")), "")
        return {
            key: _redact_inside(named if named and str(key).lower() == "value" else str(key), inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_redact_inside(name, inner) for inner in value]
    return value


def _mask_inside(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = str(key).lower()
            if name in ("env", "envs", "environment"):
                value[key] = _mask_env(inner)
            elif name in _COMMANDS and isinstance(inner, list):
                value[key] = _mask_command(inner, _program(value) if name in ("args", "cmd") else "")
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


def _program(container: dict[str, Any]) -> str:
    """Returns the program that gets these arguments, if another field of the container has it."""
    entrypoint = container.get("Path") or container.get("Entrypoint") or ""
    first = entrypoint[0] if isinstance(entrypoint, list) and entrypoint else entrypoint
    return first.rpartition("/")[2] if isinstance(first, str) else ""


def _mask_command(command: Sequence[Any], program: str = "") -> list[Any]:
    hidden: list[Any] = []
    words: list[str] = [program] if program else []
    for word in command:
        if not isinstance(word, str):
            hidden.append(word)
            continue
        before = words[-1] if words else ""
        if before == "--env" or _ENV_FLAG.fullmatch(before):
            hidden.append(_mask_entry(word))
        elif word.startswith("--env="):
            hidden.append("--env=" + _mask_entry(word.removeprefix("--env=")))
        elif glued := _ENV_GLUED.match(word):
            hidden.append(glued[0] + _mask_entry(word[glued.end() :]))
        else:
            hidden.append(_mask_word(word, words))
        words.append(word.rpartition("/")[2] if not words or words[-1] in ("CMD", "exec") else word)
    return hidden


def _mask_word(word: str, words: Sequence[str]) -> str:
    """Masks one word of a command line. `--password` and its value may be two words, and after `mysql` so may `-p…`."""
    near = [*words[:3], *words[-_CONTEXT:]] if len(words) > _CONTEXT + 3 else words
    before = " ".join(near)
    if before and not word.startswith("-") and redact(f"{before} {_PROBE}").endswith(f" {MASK}"):
        return MASK if word else word
    shown, context = redact(f"{before} {word}"), redact(before)
    return shown[len(context) + 1 :] if before and shown.startswith(f"{context} ") else redact(word)
