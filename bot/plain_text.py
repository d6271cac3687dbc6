"""Renders a reply as plain text for a terminal or as JSON for a program. Maps the ending of a command to an exit code.

Secrets in a reply are already hidden. Control characters are escaped, so that a container's name or output can neither
move the cursor nor imitate a line that Quarterdeck wrote. Tables fit the width of the terminal (`bot.text_tables`).
Sentences and verbatim lines are not cut, so that people can copy them completely.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.text_tables import COLOURS, GAP, cell_text, coloured, format_table_lines, text_width
from core.model.replies import Block, Button, Chart, Ending, Fields, Lines, Records, Reply, Table, Text, Tone
from core.text import person_names, sanitize, text_timestamps
from core.text.sparkline import draw_sparkline

# For scripts. 1 means “not found”, like grep; 70 is EX_SOFTWARE; 4 and 6 are neither success nor failure.
EXIT: Mapping[Ending, int] = {
    Ending.OK: 0,
    Ending.NOTHING: 1,
    Ending.USAGE: 2,
    Ending.REFUSED: 3,
    Ending.ASKED: 4,
    Ending.FAILED: 5,
    Ending.UNKNOWN: 6,
    Ending.ERROR: 70,
}
SCHEMA = 2
MAX_CHOICE = 50  # characters of a command that is shown as a choice
Clock = Callable[[datetime], str]


def render(
    reply: Reply, width: int = 0, colour: bool = False, *, offers: bool = False, clock: Clock | None = None
) -> str:
    """Returns the reply as lines of text, without a final line break. `width`: terminal columns for tables, 0 for no
    limit (pipes and files). `colour`: whether to use ANSI colours. `offers`: whether to show the buttons that offer
    what to do next, too. `clock` writes a point in time as its reader knows it; without it, times stay RFC 3339."""
    reply = person_names.with_names(reply)
    parts = [_block(block if clock is None else _on_clock(block, clock), width, colour) for block in reply.blocks]
    if buttons := [button for button in reply.buttons if offers or not button.offered]:
        parts.append(_choices(buttons, colour))
    return "\n".join(part for part in parts if part)


def _on_clock(block: Block, clock: Clock) -> Block:
    """The block with the times of its own texts on the reader's clock. Verbatim lines stay as they are."""

    def shown(text: str) -> str:
        return text_timestamps.replace_timestamps(text, clock)

    match block:
        case Text():
            return replace(block, text=shown(block.text))
        case Fields():
            return replace(block, fields={name: shown(value) for name, value in block.fields.items()})
        case Table():
            rows = [[shown(cell) if isinstance(cell, str) else cell for cell in row] for row in block.rows]
            return replace(block, rows=rows, title=shown(block.title), empty=shown(block.empty))
        case Lines() | Chart():
            return block


def to_json(reply: Reply) -> str:
    """Returns the reply as one JSON object on one line, in ASCII. docs/json.md describes it.

    `records` are the values for programs; `schema` names their form and its version. `blocks` are what a person is
    shown, and may change at any time. They contain the ids of people, groups and channels; `names` has their names.
    JSON escapes control characters.
    """
    records = reply.records or Records(schema="")
    document = {
        "v": SCHEMA,
        "schema": records.schema,
        "ending": str(reply.ending),
        "took": reply.took.total_seconds(),
        "records": list(records.records),
        "errors": list(records.errors),
        "left_out": records.left_out,
        "blocks": [_as_data(block) for block in reply.blocks],
        "buttons": [{"label": button.label, "line": button.line, "danger": button.danger} for button in reply.buttons],
        "names": dict(reply.names),
    }
    return json.dumps(document, ensure_ascii=True, allow_nan=False)


def _block(block: Block, width: int, colour: bool) -> str:
    match block:
        case Text():
            return coloured(sanitize.multiline(block.text), COLOURS.get(block.tone, ""), colour)
        case Lines():
            return "\n".join([*_title(block.title, colour), *(sanitize.single_line(line) for line in block.lines)])
        case Fields():
            return _fields(block, colour)
        case Chart():
            return "\n".join([*_title(block.title, colour), *chart_lines(block)])
        case Table():
            return _table(block, width, colour)


def chart_lines(chart: Chart) -> list[str]:
    """Returns a line of bars for each series, with its greatest and its last value, and a line with the times."""
    labels = _padded(chart.series)
    lines = []
    for label, values in zip(labels, chart.series.values(), strict=True):
        known = [value for value in values if value is not None]
        if known:
            numbers = f"max {_number(max(known))}, last {_number(known[-1])} {chart.unit}".rstrip()
            lines.append(f"{label}{GAP}{draw_sparkline(values)}{GAP}{numbers}")
    if lines and chart.labels:
        blank = " " * text_width(labels[0])
        times = f"{cell_text(chart.labels[0])} to {cell_text(chart.labels[-1])} {chart.axis}".rstrip()
        lines.append(f"{blank}{GAP}{times}")
    return lines


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _table(table: Table, width: int, colour: bool) -> str:
    head = _title(table.title, colour)
    if not table.rows or not table.columns:
        return "\n".join([*head, sanitize.multiline(table.empty)])
    return "\n".join([*head, *format_table_lines(table, width, colour)])


def _fields(fields: Fields, colour: bool) -> str:
    lines = [
        f"{name}{GAP}{sanitize.single_line(value)}".rstrip()
        for name, value in zip(_padded(fields.fields), fields.fields.values(), strict=True)
    ]
    return "\n".join([*_title(fields.title, colour), *lines])


def _padded(names: Iterable[str]) -> list[str]:
    """The names as texts of equal width."""
    texts = [cell_text(name) for name in names]
    longest = max(map(text_width, texts), default=0)
    return [text + " " * (longest - text_width(text)) for text in texts]


def _choices(buttons: Sequence[Button], colour: bool) -> str:
    """The buttons with their numbers. An offer is shown as the command that it runs, for people who type it."""
    shown = [
        coloured(f"{number}) {cell_text(_choice(button))}", COLOURS[Tone.BAD] if button.danger else "", colour)
        for number, button in enumerate(buttons, start=1)
    ]
    return GAP.join(shown)


def _choice(button: Button) -> str:
    return button.line if button.offered and len(button.line) <= MAX_CHOICE else button.label


def _title(title: str, colour: bool) -> list[str]:
    return [coloured(cell_text(title), "1", colour)] if title else []


def _as_data(block: Block) -> dict[str, Any]:
    match block:
        case Text():
            return {"type": "text", "text": block.text, "tone": str(block.tone)}
        case Lines():
            return {"type": "lines", "title": block.title, "lines": list(block.lines)}
        case Fields():
            return {"type": "fields", "title": block.title, "fields": dict(block.fields)}
        case Chart():
            series = {
                name: [value if value is None else _finite(value) for value in values]
                for name, values in block.series.items()
            }
            return {
                "type": "chart",
                "title": block.title,
                "unit": block.unit,
                "labels": list(block.labels),
                "series": series,
            }
        case Table():
            rows = [
                {column: _finite(cell) for column, cell in zip(block.columns, row, strict=True)} for row in block.rows
            ]
            return {"type": "table", "title": block.title, "columns": list(block.columns), "rows": rows}


def _finite(cell: str | float) -> str | float | None:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
