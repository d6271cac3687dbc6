r"""Implements the option `--format` of lists: parses the template and renders the rows as lines, as a table, or as
JSON.

`{{.Names}} {{.Status}}` gives lines, `table {{.Names}}\t{{.Status}}` a table with a header, `json` or `{{json .}}`
JSON. `{{.Label "a.b"}}` is one label. Fields are checked before an engine is asked.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from commands._shared import format_option
from commands.spec import Arg
from core import errors
from core.lazy_dataclass import dataclass
from core.model.replies import Block, Lines, Table
from core.text import command_line, redact

LABELS = "Labels"
_TABLE = "table"


def make_format_argument(example: str) -> Arg:
    """Returns the option `--format`. `example`: a field."""
    return Arg(
        name="--format",
        help=f"format of each row, such as '{{{{.{example}}}}}'; 'table {{{{.{example}}}}}' prints a table, and json"
        " prints JSON",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFormat:
    """A parsed format. `cells`: of a line, of which a line of text has one. `headings`: of a table, otherwise empty."""

    cells: Sequence[format_option.ParsedFormat] = ()
    headings: Sequence[str] = ()

    @property
    def as_json(self) -> bool:
        return not self.cells


def parse(text: str, fields: Mapping[str, str], elsewhere: Mapping[str, str] | None = None) -> ListFormat:
    """Parses the value of `--format`. `fields`: the fields of a row and their headings; `elsewhere`: for other fields
    that people know, where they are shown. Raises BadUsage."""
    text = text.replace("\\t", "\t").replace("\\n", "\n").strip()
    if text.replace(" ", "") in ("json", "{{json.}}"):
        return ListFormat()
    word, _, rest = text.partition(" ")
    is_table = word == _TABLE and "{{" in rest
    if not is_table and "{{" not in text:
        raise errors.BadUsage(f"The format “{command_line.abbreviate(text)}” has no field.", hint=_example(fields))
    cells = [format_option.parse_format(cell) for cell in (rest.split("\t") if is_table else [text])]
    for cell in cells:
        for part in cell:
            if isinstance(part, format_option.FormatField):
                _check(part, fields, elsewhere or {})
    return ListFormat(cells=cells, headings=[_heading(cell, fields) for cell in cells] if is_table else ())


def blocks(form: ListFormat, documents: Sequence[Mapping[str, Any]]) -> Sequence[Block]:
    """Returns the rows in this format. A document holds the fields of a row."""
    if not documents:
        return ()
    shown = [{**document, LABELS: _labels(document)} for document in documents]
    if form.as_json:
        return (Lines(lines=[json.dumps(document, ensure_ascii=False, default=str) for document in shown]),)
    filled = [[format_option.fill_format(cell, document) for cell in form.cells] for document in shown]
    if form.headings:
        return (Table(columns=form.headings, rows=filled),)
    return (Lines(lines=[line for (text,) in filled for line in text.split("\n")]),)


def _labels(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels, with the values hidden whose names say that they are secret."""
    return {name: redact.redact_value(name, value) for name, value in document.get(LABELS, {}).items()}


def _check(part: format_option.FormatField, fields: Mapping[str, str], elsewhere: Mapping[str, str]) -> None:
    name = part.keys[0] if part.keys else ""
    if name in fields or name == LABELS or (not name and part.as_json):
        return
    near = [field for field in fields if field.lower() == name.lower()] or difflib.get_close_matches(name, fields, n=2)
    guess = f"Did you mean {' or '.join(f'.{field}' for field in near)}? " if near else ""
    known = f"{guess}Its fields: {', '.join(f'.{field}' for field in (*fields, LABELS))}."
    raise errors.BadUsage(f"This list has no field “.{name[:40]}”.", hint=elsewhere.get(name, known))


def _heading(cell: format_option.ParsedFormat, fields: Mapping[str, str]) -> str:
    """The heading of a column: the names of its fields, between its own text."""
    parts = []
    for part in cell:
        if isinstance(part, str):
            parts.append(part)
        elif part.keys[:1] == (LABELS,):
            parts.append(part.keys[-1] if len(part.keys) > 1 else "LABELS")
        else:
            parts.append(fields.get(part.keys[0] if part.keys else "", "ALL"))
    return "".join(parts).strip()


def _example(fields: Mapping[str, str]) -> str:
    name = next(iter(fields))
    return f"Write a field, such as --format '{{{{.{name}}}}}'. See all fields with: --format json"
