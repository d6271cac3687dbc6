"""Lays out a table as lines of text for a terminal, a pipe or a monospace block.

Without a width, nothing is left out and nothing is cut. If a table is wider than the terminal, its least important
columns are left out, and a last line names them. A cell of the most important column is never cut: if it is too long,
the cells after it are on the next line. If only two columns remain and are still too wide, the cells of the second are
cut. A table can ask for more lines instead. Widths are terminal columns: East Asian characters and most emoji take two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from core.lazy_dataclass import dataclass
from core.model.replies import Table, Tone
from core.text import sanitize

GAP = "  "
MAX_WRAPPED = 4  # lines of one cell
MIN_CELL_WIDTH = 6
ENOUGH_COLUMNS = 3  # if fewer fit beside the longest name, longer names go on lines of their own
WRAPPED_WIDTH = 20  # of a column that continues on further lines; if there is less room, columns are left out
FIRST_COMBINING = "\u0300"  # all printable characters before this one are one column wide
COLOURS = {Tone.GOOD: "32", Tone.WARN: "33", Tone.BAD: "31"}
_BOLD, _DIM = "1", "2"


def format_table_lines(table: Table, width: int = 0, colour: bool = False) -> list[str]:
    """Returns the header, the rows and, if columns are left out, their names. `table` has rows and columns. `width`: 0
    for no limit."""
    layout = _layout(table, width)
    shown = table.only(layout.places)
    columns = [cell_text(column) for column in shown.columns]
    wrapped = shown.wrapped_places()
    toned = shown.columns.index(table.toned) if table.toned in shown.columns else -1
    lines = [coloured(_line(columns, layout), _BOLD, colour)]
    for number, row in enumerate(shown.rows):
        cells = [cell_text(cell) for cell in row]
        code = COLOURS.get(table.tones[number], "") if colour and toned >= 0 and number < len(table.tones) else ""
        if text_width(cells[layout.lead]) > layout.widths[layout.lead]:
            lines.append(_line(cells[: layout.lead + 1], layout, toned, code))
            cells[: layout.lead + 1] = [""] * (layout.lead + 1)
            if not any(cells):
                continue
        lines += [_line(part, layout, toned, code) for part in _continued(cells, layout.widths, wrapped)]
    if len(layout.places) < len(table.columns):
        names = ", ".join(cell_text(table.columns[at]) for at in left_out(table, layout.places))
        lines.append(coloured(f"Not shown: {names}. A wider window shows more.", _DIM, colour))
    return lines


def fitting_columns(table: Table, width: int) -> Sequence[int]:
    """Returns the places of the columns that fit into `width`, from left to right."""
    return _layout(table, width).places


def has_cut_cells(table: Table, width: int) -> bool:
    """Returns whether a cell of these columns is shown without its end."""
    layout = _layout(table, width)
    shown = table.only(layout.places)
    for row in shown.rows:
        cells = [cell_text(cell) for cell in row]
        last = _continued(cells, layout.widths, shown.wrapped_places())[-1]
        fits = [text_width(cell) <= room for cell, room in zip(last, layout.widths, strict=True)]
        if not all(fit or at == layout.lead for at, fit in enumerate(fits)):
            return True
    return False


def left_out(table: Table, places: Sequence[int]) -> Sequence[int]:
    """Returns the places of the other columns, from left to right."""
    return [at for at in range(len(table.columns)) if at not in places]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The places of the columns that are shown; the width of each, and whether it has only numbers. `lead`: which of
    them is the most important one."""

    places: Sequence[int]
    widths: Sequence[int]
    numeric: Sequence[bool]
    lead: int


def _layout(table: Table, width: int) -> _Layout:
    places = list(range(len(table.columns)))
    cells = [list(map(text_width, map(cell_text, column))) for column in zip(table.columns, *table.rows, strict=True)]
    wants = list(map(max, cells))
    numeric = [all(_is_number(row[at]) for row in table.rows) for at in places]
    order = table.by_importance()
    lead = order[0]
    if width and not table.whole and _total(wants) > width:
        wrapped = [at for at in table.wrapped_places() if at != lead]
        least = [min(want, WRAPPED_WIDTH) if at in wrapped else want for at, want in enumerate(wants)]
        places = _most_important(order, least, width)
        if len(places) < min(ENOUGH_COLUMNS, len(order)) or not set(wrapped) <= set(places):
            # If more fits then, longer names go on lines of their own.
            longest = max(each for each in cells[lead] if each <= max(width // 3, cells[lead][0]))
            narrow = [longest if at == lead else each for at, each in enumerate(least)]
            more = _most_important(order, narrow, width)
            too_wide = wants[lead] + len(GAP) + MIN_CELL_WIDTH > width
            if len(more) > len(places) or too_wide or _total([narrow[at] for at in more]) <= width:
                places, least = more, narrow
        places = sorted(places)
        wants = _share(places, [*wrapped, *order], least, wants, width)
        if _total([wants[at] for at in places]) > width and len(order) > 1:
            # Only two columns are left, and the second is too wide.
            wants[order[1]] = max(MIN_CELL_WIDTH, width - wants[lead] - len(GAP))
    return _Layout(
        places=places,
        widths=[wants[at] for at in places],
        numeric=[numeric[at] for at in places],
        lead=places.index(lead),
    )


def _most_important(order: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Returns as many columns as fit, the most important first, and at least two."""
    chosen = list(order[:2])
    for at in order[2:]:
        if _total([least[each] for each in (*chosen, at)]) > width:
            break
        chosen.append(at)
    return chosen


def _share(
    places: Sequence[int], order: Sequence[int], least: Sequence[int], wants: Sequence[int], width: int
) -> list[int]:
    """Returns the widths: each column gets the least it needs, and what is left goes to the first ones of `order`."""
    widths = list(least)
    left = max(0, width - _total([least[at] for at in places]))
    for at in (each for each in order if each in places):
        more = min(left, wants[at] - widths[at])
        widths[at], left = widths[at] + more, left - more
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _continued(cells: Sequence[str], widths: Sequence[int], wrapped: Sequence[int]) -> list[list[str]]:
    """The cells of one row as one or more lines. `wrapped`: the columns whose cells are broken between words."""
    parts = [_broken(cell, widths[at]) if at in wrapped else [cell] for at, cell in enumerate(cells)]
    return [list(line) for line in itertools.zip_longest(*parts, fillvalue="")]


def _broken(text: str, width: int) -> list[str]:
    room, parts = max(width, MIN_CELL_WIDTH), [""]
    for word in _short_words(text, room):
        longer = f"{parts[-1]} {word}" if parts[-1] else word
        if text_width(longer) <= room or not parts[-1]:
            parts[-1] = longer
        elif len(parts) < MAX_WRAPPED:
            parts.append(word)
        else:
            parts[-1] = longer  # too long: it is cut
    return parts


def _short_words(text: str, room: int) -> Iterator[str]:
    """The words of a text. One that is wider than `room` is broken."""
    for word in text.split(" "):
        while text_width(word) > room:
            part = word[:room]
            while text_width(part) > room:
                part = part[:-1]
            yield part
            word = word[len(part) :]  # noqa: PLW2901
        yield word


def _line(cells: Sequence[str], layout: _Layout, toned: int = -1, code: str = "") -> str:
    shown = []
    for at, (cell, width, is_number) in enumerate(zip(cells, layout.widths, layout.numeric, strict=False)):
        text = cell if at == layout.lead else clip(cell, width)
        padding = " " * max(0, width - text_width(text))
        text = coloured(text, code, at == toned)
        shown.append(padding + text if is_number else text + padding)
    return GAP.join(shown).rstrip()


def coloured(text: str, code: str, colour: bool) -> str:
    """Returns the text with this ANSI colour, if `colour`."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text else text


def cell_text(cell: str | float) -> str:
    """Returns a cell as one line without control characters."""
    text = cell if isinstance(cell, str) else f"{cell:.10g}" if isinstance(cell, float) else str(cell)
    return sanitize.single_line(text).replace("\t", " ")


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def text_width(text: str) -> int:
    """Returns the terminal columns of the text."""
    if text.isascii() or (text.isprintable() and max(text) < FIRST_COMBINING):
        return len(text)  # most texts, such as “up · 2h”
    import wcwidth  # noqa: PLC0415 (its tables take part of the start)

    return max(0, wcwidth.wcswidth(text))


def clip(text: str, width: int) -> str:
    """Returns the text, cut to `width` with “…” at its end if it is wider."""
    if text_width(text) <= width:
        return text
    clipped: list[str] = []
    room = width - 1
    for character in text:
        room -= text_width(character)
        if room < 0:
            break
        clipped.append(character)
    # A character may be wider beside its neighbours than alone.
    while clipped and text_width("".join(clipped) + "…") > width:
        clipped.pop()
    return "".join(clipped) + "…"
