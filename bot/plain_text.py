"""Renders a reply as plain text for a terminal or as JSON for a program. Maps the ending of a command to an exit code.

Secrets in a reply are already hidden. Control characters are escaped, so that a container's name or output can neither
move the cursor nor imitate a line that Quarterdeck wrote. Tables are cut to the width of the terminal. Sentences and
verbatim lines are not cut, so that people can copy them completely.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import wcwidth

from core.model.replies import Block, Button, Chart, Ending, Fields, Lines, Records, Reply, Table, Text, Tone
from core.text import person_names, sanitize
from core.text.sparkline import sparkline

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
GAP = "  "
MAX_WRAPPED = 4  # lines of one cell
MAX_CHOICE = 60  # characters of a command that is shown as a choice
MIN_CELL_WIDTH = 6  # terminal columns, however narrow the terminal
_COLOURS = {Tone.GOOD: "32", Tone.WARN: "33", Tone.BAD: "31"}


def render(reply: Reply, width: int = 0, colour: bool = False, *, offers: bool = False) -> str:
    """Returns the reply as lines of text, without a final line break. `width`: terminal columns for tables, 0 for no
    limit (pipes and files). `colour`: whether to use ANSI colours. `offers`: whether to show the buttons that offer
    what to do next, too."""
    reply = person_names.with_names(reply)
    parts = [_block(block, width, colour) for block in reply.blocks]
    if buttons := [button for button in reply.buttons if offers or not button.offered]:
        parts.append(_choices(buttons, colour))
    return "\n".join(part for part in parts if part)


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
            return _colour(sanitize.multiline(block.text), _COLOURS.get(block.tone, ""), colour)
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
    longest = max((_width(_cell(name)) for name in chart.series), default=0)
    lines = []
    for name, values in chart.series.items():
        known = [value for value in values if value is not None]
        if known:
            numbers = f"max {_number(max(known))}, last {_number(known[-1])} {chart.unit}".rstrip()
            label = _cell(name)
            lines.append(f"{label}{' ' * (longest - _width(label))}{GAP}{sparkline(values)}{GAP}{numbers}")
    if lines and chart.labels:
        lines.append(f"{' ' * longest}{GAP}{_cell(chart.labels[0])} to {_cell(chart.labels[-1])}")
    return lines


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _table(table: Table, width: int, colour: bool) -> str:
    head = _title(table.title, colour)
    if not table.rows:
        return "\n".join([*head, sanitize.multiline(table.empty)])
    columns = [_cell(column) for column in table.columns]
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    numeric = [all(_is_number(row[at]) for row in table.rows) for at in range(len(columns))]
    widths = [max(_width(line[at]) for line in [columns, *rows]) for at in range(len(columns))]
    if width:
        widths = _fitted(widths, width - len(GAP) * (len(widths) - 1))
    lines = [_line(columns, widths, numeric)]
    for cells in rows:
        lines += [_line(part, widths, numeric) for part in (_wrapped(cells, widths) if table.wrap else [cells])]
    return "\n".join([*head, _colour(lines[0], "1", colour), *lines[1:]])


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """The cells of one row as one or more lines: the last cell is broken between words where it is too wide."""
    room, parts = max(widths[-1], MIN_CELL_WIDTH), [""]
    for word in _short_words(cells[-1], room):
        longer = f"{parts[-1]} {word}" if parts[-1] else word
        if _width(longer) <= room or not parts[-1]:
            parts[-1] = longer
        elif len(parts) < MAX_WRAPPED:
            parts.append(word)
        else:
            parts[-1] = longer  # too long: it is cut
    return [[*cells[:-1], parts[0]], *([*([""] * (len(cells) - 1)), part] for part in parts[1:])]


def _short_words(text: str, room: int) -> Iterator[str]:
    """The words of a text. One that is wider than `room` is broken."""
    for word in text.split(" "):
        while _width(word) > room:
            part = word[:room]
            while _width(part) > room:
                part = part[:-1]
            yield part
            word = word[len(part) :]  # noqa: PLW2901
        yield word


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """Column widths whose sum fits `room`: the widest columns shrink first, and none below MIN_CELL_WIDTH."""
    fitted = list(widths)
    over = sum(fitted) - room
    while over > 0:
        widest = max(fitted)
        if widest <= MIN_CELL_WIDTH:
            break
        second = max([wide for wide in fitted if wide < widest] or [0])
        among = [at for at, wide in enumerate(fitted) if wide == widest]
        step = max(1, min(widest - max(second, MIN_CELL_WIDTH), over // len(among)))
        for at in among:
            if over > 0:
                fitted[at] -= step
                over -= step
    return fitted


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    shown = []
    for cell, width, is_number in zip(cells, widths, numeric, strict=True):
        text = _clip(cell, width)
        padding = " " * (width - _width(text))
        shown.append(padding + text if is_number else text + padding)
    return GAP.join(shown).rstrip()


def _fields(fields: Fields, colour: bool) -> str:
    names = [_cell(name) for name in fields.fields]
    longest = max((_width(name) for name in names), default=0)
    lines = [
        f"{name}{' ' * (longest - _width(name))}{GAP}{sanitize.single_line(value)}".rstrip()
        for name, value in zip(names, fields.fields.values(), strict=True)
    ]
    return "\n".join([*_title(fields.title, colour), *lines])


def _choices(buttons: Sequence[Button], colour: bool) -> str:
    """The buttons with their numbers. An offer is shown as the command that it runs, for people who type it."""
    shown = [
        _colour(f"{number}) {_cell(_choice(button))}", _COLOURS[Tone.BAD] if button.danger else "", colour)
        for number, button in enumerate(buttons, start=1)
    ]
    return GAP.join(shown)


def _choice(button: Button) -> str:
    return button.line if button.offered and len(button.line) <= MAX_CHOICE else button.label


def _title(title: str, colour: bool) -> list[str]:
    return [_colour(_cell(title), "1", colour)] if title else []


def _colour(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text else text


def _cell(cell: str | float) -> str:
    text = cell if isinstance(cell, str) else f"{cell:.10g}" if isinstance(cell, float) else str(cell)
    return sanitize.single_line(text).replace("\t", " ")


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _width(text: str) -> int:
    """Terminal columns of the text. East Asian characters and most emoji take two."""
    return len(text) if text.isascii() else max(0, wcwidth.wcswidth(text))


def _clip(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    clipped: list[str] = []
    room = width - 1
    for character in text:
        room -= max(0, wcwidth.wcwidth(character))
        if room < 0:
            break
        clipped.append(character)
    # A character may be wider beside its neighbours than alone.
    while clipped and _width("".join(clipped) + "…") > width:
        clipped.pop()
    return "".join(clipped) + "…"


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
