"""Parses one template of the option `--format`, and fills in its fields. Supports only the most used part of Go's
template syntax.

`{{.A.B}}` is a field; a number in its path is an index of a list. `{{json .A}}` is a field as JSON. `{{index .A
"key.with.dots" 0}}` is a field whose keys are given one by one, `{{.Label "key"}}` one of the `Labels`. Any other
expression is refused before a request is sent to an engine.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from core import errors
from core.lazy_dataclass import dataclass
from core.model.replies import Ending, Lines, Reply, Text, Tone
from core.model.results import Document
from core.text import command_line

_PATH = re.compile(r"\.|(?:\.[A-Za-z0-9_-]+)+")
ALL_FIELDS = "See all fields with: --format '{{json .}}'"
_KEY = re.compile(r'"([^"]*)"|([A-Za-z0-9_.-]+)')


def parse_format(text: str) -> ParsedFormat:
    """Parses the value of `--format`. Raises BadUsage for any expression other than fields, `json` and `index`."""
    parts: list[str | FormatField] = []
    at = 0
    while (start := text.find("{{", at)) >= 0 and (end := text.find("}}", start + 2)) >= 0:
        source = text[start + 2 : end].removeprefix("-").removesuffix("-").strip()
        parts += [text[at:start], _field(source)]
        at = end + 2
    rest = text[at:]
    if "{{" in rest or not any(isinstance(part, FormatField) for part in parts):
        shown = command_line.abbreviate(text)
        if "{{" in rest:
            raise errors.BadUsage(
                f"A {{{{ in the format “{shown}” is not closed by }}}}.", hint="Write }} after the name of the field."
            )
        raise errors.BadUsage(
            f"The format “{shown}” has no field.",
            hint=f"Write a field in {{{{ }}}}, such as {{{{.Name}}}}. {ALL_FIELDS}",
        )
    return [*parts, rest]


def fill_format(parsed: ParsedFormat, document: dict[str, Any]) -> str:
    """Returns the text with its fields filled in. Raises BadUsage for a missing field, and names the existing ones."""
    return "".join(part if isinstance(part, str) else _shown(part, document) for part in parsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatField:
    """Describes one field of a format. `keys` lead from the document to its value. With `as_json` a string is written
    with quotes. An `optional` field that is missing is empty."""

    source: str
    keys: tuple[str, ...]
    as_json: bool = False
    optional: bool = False


ParsedFormat = Sequence[str | FormatField]


def _field(source: str) -> FormatField:
    word, _, rest = source.partition(" ")
    if word == "json" and _PATH.fullmatch(rest.strip()):
        return FormatField(source=source, keys=_keys(rest.strip()), as_json=True)
    if word == "index":
        path, _, keys = rest.strip().partition(" ")
        if _PATH.fullmatch(path) and keys.strip() and not _KEY.sub("", keys).strip():
            return FormatField(
                source=source, keys=(*_keys(path), *(match[1] or match[2] or "" for match in _KEY.finditer(keys)))
            )
    if word == ".Label" and (key := _KEY.fullmatch(rest.strip())):
        return FormatField(source=source, keys=("Labels", key[1] or key[2] or ""), optional=True)
    if _PATH.fullmatch(source):
        return FormatField(source=source, keys=_keys(source))
    raise errors.BadUsage(
        f"“{{{{{command_line.abbreviate(source)}}}}}” is not supported in a format.",
        hint="Write a field, such as {{.Name}} or {{.Mounts.0.Source}}; a field as JSON, such as {{json .Mounts}}; or a"
        ' key with dots, such as {{index .Config.Labels "a.b"}}.',
    )


def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.strip(".").split(".")) if path != "." else ()


def _shown(field: FormatField, document: dict[str, Any]) -> str:
    value: Any = document
    for depth, key in enumerate(field.keys):
        if field.optional and isinstance(value, dict) and key not in value:
            return ""
        value = _step(value, key, "." + ".".join(field.keys[:depth]))
    if field.as_json or isinstance(value, dict | list | bool) or value is None:
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _step(value: Any, key: str, where: str) -> Any:
    if isinstance(value, dict):
        if key in value:
            return value[key]
        known = sorted(map(str, value))
        near = [name for name in known if name.lower() == key.lower()] or difflib.get_close_matches(key, known, n=2)
        shown = ", ".join(known[:30]) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        cure = f"Use one of its fields: {shown}." if known else f"Remove “{key}”: the object has no fields."
        raise errors.BadUsage(f"{_subject(where)} has no field “{key}”.", hint=hint + cure)
    if isinstance(value, list):
        if re.fullmatch(r"[0-9]{1,6}", key) and int(key) < len(value):
            return value[int(key)]
        indexes = f"Use an index from 0 to {len(value) - 1}." if value else f"Remove “{key}”: the list is empty."
        raise errors.BadUsage(f"{_subject(where)} is a list and has no “{key}”.", hint=indexes)
    raise errors.BadUsage(f"{where} is a single value and has no field “{key}”.", hint=f"Remove “.{key}”.")


def _subject(where: str) -> str:
    return "The engine's answer" if where == "." else where


def formatted_reply(text: str, documents: Sequence[Document], notes: Sequence[Text]) -> Reply:
    """Returns the lines that the format `text` makes of each document. `notes` follow them."""
    template = parse_format(text)
    lines: list[str] = []
    for document in documents:
        try:
            lines += fill_format(template, document.data).split("\n")
        except errors.BadUsage as error:
            return Reply(blocks=(Text(text=error.full_message(), tone=Tone.WARN),), ending=Ending.USAGE)
    return Reply(blocks=(Lines(lines=lines), *notes))
