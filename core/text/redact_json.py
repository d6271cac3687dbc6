"""Hides secrets in the JSON documents of engines: the values of environment variables, and every secret that
`core.text.redact` detects."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from typing import Any

from core import errors
from core.text.named_secrets import may_be_secret_name
from core.text.redact import MASK, redact, redact_value
from core.text.secret_search_limit import OutOfTimeError, SecretSearchLimit

# `-e`, and `-dite`: short flags without values may come before the `e`.
_ENV_FLAG = re.compile(r"-[a-zA-Z]*e")
_ENV_GLUED = re.compile(r"-(?!-)[a-zA-Z]*?e(?=\w+=)")

_COMMANDS = frozenset(
    {"createcommand", "cmd", "command", "args", "entrypoint", "test", "exec", "execstart", "cmdline", "argv"}
)
_ENVIRONMENTS = frozenset({"env", "envs", "environ", "environment", "envvars", "env_vars"})
_PROBE = "Zq7xW2"  # masked where a secret may be
_CONTEXT = 6  # words before a word that decide whether it is a secret
_MAX_CONTEXT = 200  # characters of each of these words
_MAX_WORDS = 1_000  # of one command line; those after it are hidden
_TOGETHER = 64  # texts
MAX_TEXTS = 50_000  # of one document
MASKING_SECONDS = 0.1  # for the command lines of one document, which are searched on the event loop


def redact_document(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy with all values of environment variables masked, and with all other texts redacted, because of
    their own format or of their key.

    Takes seconds for a document of megabytes, so call it in a thread (`core.secret_search_threads`). Raises
    InvalidResponse if the document has more than MAX_TEXTS texts, is nested too deeply, or takes too long to be
    searched."""
    limit = SecretSearchLimit()
    try:
        if _count_texts(document) > MAX_TEXTS:
            raise errors.InvalidResponse(
                f"The engine's answer is not shown: it has more than {MAX_TEXTS:,} strings, which is the most"
                " that Quarterdeck searches for secrets.",
                hint="Use the engine's own command on its host, such as docker or podman.",
            )
        hidden = mask_env_values(copy.deepcopy(document), limit)
        return {key: _redact_inside(str(key), value, limit) for key, value in hidden.items()}
    except OutOfTimeError as error:
        raise errors.InvalidResponse(
            "The engine's answer is not shown: it would take too long to search it for secrets.",
            hint="Use the engine's own command on its host, such as docker or podman.",
        ) from error
    except RecursionError as error:
        raise errors.InvalidResponse(
            "The engine's answer is not shown: it is nested too deeply to be searched for secrets.",
            hint="Use the engine's own command on its host, such as docker or podman.",
        ) from error


def hides_values(name: str) -> bool:
    """Whether the values under a key of a document may be masked, whatever they look like."""
    return name.lower() in _ENVIRONMENTS or name.lower() in _COMMANDS


def _count_texts(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
        elif isinstance(found, str):
            count += 1
    return count


def mask_env_values(document: dict[str, Any], limit: SecretSearchLimit | None = None) -> dict[str, Any]:
    """Masks all values of environment variables in a document, in place: in environment lists and mappings, and after
    `-e` and `--env` in command lines. Returns the document. Words of command lines for which the time does not suffice
    are masked, too."""
    _mask_inside(document, limit or SecretSearchLimit(MASKING_SECONDS))
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


def _redact_inside(name: str, value: Any, limit: SecretSearchLimit) -> Any:
    if isinstance(value, str):
        limit.check(0)
        return redact_value(name, value, limit)
    if isinstance(value, dict):
        # {"name": "DB_PASSWORD", "value": "…"}: the value's name is another field.
        named = next((str(inner) for key, inner in value.items() if str(key).lower() in ("name", "key")), "")
        names = [named if named and str(key).lower() == "value" else str(key) for key in value]
        return dict(zip(value, _redact_all(names, list(value.values()), limit), strict=True))
    if isinstance(value, list):
        return _redact_all([name] * len(value), value, limit)
    return value


def _redact_all(names: Sequence[str], values: Sequence[Any], limit: SecretSearchLimit) -> list[Any]:
    """Redacts many values. Short texts are searched together first, because most have nothing to hide."""
    redacted: list[Any] = []
    for at in range(0, len(values), _TOGETHER):
        some, their_names = values[at : at + _TOGETHER], names[at : at + _TOGETHER]
        texts = [value for value in some if isinstance(value, str)]
        clean = len(texts) > 1 and not any(map(may_be_secret_name, their_names)) and _is_clean("\n".join(texts), limit)
        redacted += [
            value if clean and isinstance(value, str) else _redact_inside(name, value, limit)
            for name, value in zip(their_names, some, strict=True)
        ]
    return redacted


def _is_clean(text: str, limit: SecretSearchLimit) -> bool:
    return redact(text, limit) == text


def _mask_inside(value: Any, limit: SecretSearchLimit) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = str(key).lower()
            if name in _ENVIRONMENTS:
                value[key] = _mask_env(inner)
            elif name in _COMMANDS and isinstance(inner, list):
                value[key] = _mask_command(inner, limit, _program(value) if name in ("args", "cmd") else "")
            elif isinstance(inner, str):
                value[key] = _mask_json_text(inner, limit)
            else:
                _mask_inside(inner, limit)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, str):
                value[number] = _mask_json_text(inner, limit)
            else:
                _mask_inside(inner, limit)


def _mask_json_text(text: str, limit: SecretSearchLimit) -> str:
    """Masks values in JSON that is a string of the document (annotation
    `kubectl.kubernetes.io/last-applied-configuration`)."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        inside = json.loads(text)
    except (ValueError, RecursionError):
        return text
    before = json.dumps(inside)
    _mask_inside(inside, limit)
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


def _mask_command(command: Sequence[Any], limit: SecretSearchLimit, program: str = "") -> list[Any]:
    hidden: list[Any] = []
    words: list[str] = [program] if program else []
    for word in command:
        if not isinstance(word, str):
            hidden.append(word)
            continue
        if len(words) >= _MAX_WORDS or limit.used_up:
            hidden.append(MASK)
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
    before = " ".join(near if sum(map(len, near)) <= _MAX_CONTEXT else [each[:_MAX_CONTEXT] for each in near])
    if before and not word.startswith("-") and redact(f"{before} {_PROBE}").endswith(f" {MASK}"):
        return MASK if word else word
    shown, context = redact(f"{before} {word}"), redact(before)
    return shown[len(context) + 1 :] if before and shown.startswith(f"{context} ") else redact(word)
