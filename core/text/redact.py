"""Secrets out of text, at the one exit: each becomes ••••, what names it stays readable.

Patterns know secrets by their name (`password=…`), their place (`scheme://user:…@host`) or their own shape (`ghp_…`,
PEM). A secret that has none of these passes. Lines without any hint of one cost a few substring searches; no pattern
looks at a character more than a bounded number of times, so hostile text costs time in proportion to its length.
Redacting twice changes nothing.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.model.replies import Block, Button, Fields, Lines, Reply, Table, Text
from core.text import secret_patterns

MASK = secret_patterns.MASK
_MOST_READINGS = 5
_LONGEST_KEY = 300  # lines


def redact(text: str) -> str:
    """The text with what looks like a secret replaced by ••••."""
    lowered = text.lower()
    if not secret_patterns.hinted(lowered):
        return text
    if secret_patterns.KEY_HINT not in lowered:
        return _masked(text)
    # A marker of a key that stands where another secret is masked changes what the next reading sees.
    for _ in range(_MOST_READINGS):
        before, text = text, _masked(secret_patterns.without_keys(text))
        if text == before:
            break
    return text


class Flow:
    """`redact` for lines that come bit by bit: a private key that began earlier is masked until it ends, or until so
    many lines came that it cannot be one any more."""

    def __init__(self) -> None:
        self._marker = self._last = ""
        self._since = 0

    def over(self, lines: Sequence[str]) -> list[str]:
        """The next lines; there may be fewer of them afterwards."""
        if not lines:
            return []
        before = [self._marker, self._last] if self._marker else []
        text = "\n".join([*before, *lines])
        masked = redact(text)
        if before:
            head, _, masked = masked.partition("\n")
            if head == self._marker:  # else the key's end stands in this line too
                masked = masked.partition("\n")[2]
            else:
                masked = "\n".join([head.removeprefix(self._marker), *([masked] if masked else [])])
        marker = secret_patterns.open_key(text)
        self._since = self._since + len(lines) if marker == self._marker else len(lines)
        self._marker, self._last = (marker, lines[-1]) if marker and self._since <= _LONGEST_KEY else ("", "")
        return masked.split("\n") if masked or not before else []


def redact_reply(reply: Reply) -> Reply:
    """Every text of a reply: sentences, cells, lines, fields, button labels. A key spread over lines is found too."""
    return replace(
        reply,
        blocks=tuple(_block(block) for block in reply.blocks),
        buttons=tuple(_button(button) for button in reply.buttons),
    )


def hide_env(env: Sequence[str]) -> list[str]:
    """`NAME=value` entries with their values hidden; a name alone, or an empty value, hides nothing and stays."""
    return [_hidden(entry) for entry in env]


def hide_environment(document: dict[str, Any]) -> dict[str, Any]:
    """Hides, in place, the values of every environment in an engine's document, and of `-e` and `--env` in the command
    lines it keeps; returns the document."""
    _walk(document)
    return document


def hide_within(document: dict[str, Any]) -> dict[str, Any]:
    """A copy with every environment hidden, and in all other texts what looks like a secret, by itself or by the name
    it stands under."""
    return {key: _within(str(key), value) for key, value in hide_environment(copy.deepcopy(document)).items()}


def _within(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return _field(name, value)
    if isinstance(value, dict):
        return {key: _within(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_within(name, inner) for inner in value]
    return value


def _masked(text: str) -> str:
    return "\n".join(secret_patterns.masked(line) for line in text.split("\n"))


def _block(block: Block) -> Block:
    match block:
        case Text():
            return replace(block, text=redact(block.text))
        case Lines(secret=True):
            return block
        case Lines():
            # As one text: a private key is spread over many lines. The number of lines may shrink.
            lines = tuple(redact("\n".join(block.lines)).split("\n")) if block.lines else ()
            return replace(block, lines=lines, title=redact(block.title))
        case Table():
            return replace(block, rows=_rows(block.rows), title=redact(block.title), empty=redact(block.empty))
        case Fields():
            fields = {redact(name): _field(name, value) for name, value in block.fields.items()}
            return replace(block, fields=fields, title=redact(block.title))


def _rows(rows: Sequence[Sequence[str | int | float]]) -> Sequence[Sequence[str | int | float]]:
    # One search over the whole table tells that none of its cells needs one of its own.
    whole = "\n".join(cell for row in rows for cell in row if isinstance(cell, str))
    if not secret_patterns.hinted(whole.lower()):
        return rows
    return tuple(tuple(redact(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)


def _field(name: str, value: str) -> str:
    """A value by its own shape, or because of the name beside it."""
    joined = f"{name}: "
    alone = redact(joined + value)
    return alone.removeprefix(joined) if alone.startswith(joined) else redact(value)


def _button(button: Button) -> Button:
    return replace(button, label=redact(button.label))


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


def tells_environment(command: Sequence[str]) -> bool:
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
