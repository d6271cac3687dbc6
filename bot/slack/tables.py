"""Renders tables and fields as Slack blocks, in the richest table format that a workspace accepts.

The richest format is a `data_table` block with up to 200 rows, which people can sort. The simpler ones are a
`data_table` with up to 99 rows, a `table` block, and aligned monospace text. A message has one table that Slack draws.
At most 20 columns are shown. If a table is too large, the least important columns are left out first, then long cells
are cut, and rows are left out last. A name in the most important column is never cut. A note says what is cut or left
out, and names the file with the whole table. A red, yellow or green circle in front of a cell shows how good the state
of its row is.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace

import slackblocks

from bot import plain_text, text_tables
from bot.slack import blocks, buttons, dates, markup, row_buttons
from core.lazy_dataclass import dataclass
from core.model import replies
from core.text import sanitize, text_timestamps

MAX_ROWS, MAX_LONG_ROWS = 99, 200  # below the header; the second where the workspace takes long tables
MAX_FURTHER_ROWS = 10  # of a second table; a longer one is only in the file
MAX_COLUMNS = 20
CELL_WIDTHS = (400, 160, 60)  # characters, tried in turn until all rows fit
MAX_COLUMN_NAME = 40  # characters
CAPTION_WEIGHT = 150
MAX_SINGLE_PAGE = 25  # rows that are shown on one page
PAGE_SIZE = 20  # rows of a page if there are more
MIN_PAGE_SIZE = 10
MONOSPACE_WIDTH = 110  # characters that a Slack window shows without wrapping
MAX_FIELDS = 10
MAX_FIELD = 600  # characters; longer fields are easier to read in a table
TABLE_WEIGHT = 180  # of a table block without its texts
# Bytes of all cells of a table. Slack documents 10,000 characters, and since 2026-09 20,000 for a data table.
MAX_TABLE_TEXT, MAX_LONG_TABLE_TEXT = 9_900, 19_800
MAX_NAMED_COLUMNS = 6  # in a note
MIN_COLUMNS = 2  # that are kept where others are left out
MAX_UNBROKEN = 24  # characters of a state
NO_BREAK_SPACE = "\u00a0"
CIRCLES = {replies.Tone.BAD: "🔴", replies.Tone.WARN: "🟡", replies.Tone.GOOD: "🟢"}
_DataCell = slackblocks.RawText | slackblocks.RawNumber | slackblocks.RichTextBlock
MAX_EXACT_INTEGER = 2**53  # larger numbers are sent as text, because JSON readers round them


def render_table(
    block: replies.Table, *, budget: int, table_format: TableFormat, file_name: str
) -> blocks.RenderedBlock:
    """Renders a table that fits into `budget` bytes of JSON. `file_name`: the file with the whole table."""
    if not block.rows or not block.columns:
        title = blocks.titled(block.title)
        text = f"{title}: {block.empty}" if title else block.empty
        return blocks.text(replies.Text(text=text), budget=budget, file_name=file_name)
    block = _with_circles(block)
    if table_format < TableFormat.DATA_TABLE:
        block = dates.table_in_utc(block)
    if table_format is TableFormat.PLAIN:
        return _monospace(block, budget, file_name)
    return _table_block(block, budget, table_format, file_name)


def render_further_table(block: replies.Table, *, budget: int, file_name: str) -> blocks.RenderedBlock:
    """Renders a table after the one that Slack draws: in monospace if it has few rows, else only as a note that names
    the file."""
    if len(block.rows) <= MAX_FURTHER_ROWS:
        return render_table(block, budget=budget, table_format=TableFormat.PLAIN, file_name=file_name)
    title = blocks.titled(block.title)
    rows = blocks.plural(len(block.rows), "row")
    note = markup.literal(f"{f'{title}: ' if title else 'A table of '}{rows} in the file {file_name}.")
    return blocks.RenderedBlock(blocks=[blocks.note(note)], complete=False)


def render_fields(
    block: replies.Fields, *, budget: int, table_format: TableFormat, file_name: str, further: bool = False
) -> blocks.RenderedBlock:
    """Renders names and values side by side, or as a table with two columns if they are many or long. `further`: the
    message has a table already."""
    if not block.fields:
        return blocks.RenderedBlock(blocks=blocks.heading(block.title))
    pairs: list[str] = []
    if len(block.fields) <= MAX_FIELDS and max(map(len, block.fields.values())) <= MAX_FIELD:
        pairs = [
            f"{markup.bold(name) or markup.NOTHING}\n{markup.literal(value).strip() or markup.NOTHING}"
            for name, value in block.fields.items()
        ]
    if pairs and max(map(blocks.text_size, pairs)) <= MAX_FIELD:
        title = markup.bold(blocks.titled(block.title))
        found = slackblocks.SectionBlock(
            text=blocks.verbatim(title) if title else None, fields=[blocks.verbatim(pair) for pair in pairs]
        )
        if blocks.weight([found]) <= budget:
            return blocks.RenderedBlock(blocks=[found])
    table = replies.Table(columns=("NAME", "VALUE"), rows=tuple(block.fields.items()), title=block.title)
    if further:
        return render_further_table(table, budget=budget, file_name=file_name)
    return render_table(table, budget=budget, table_format=table_format, file_name=file_name)


class TableFormat(enum.IntEnum):
    """How a workspace can show tables and charts, from the simplest format. If Slack refuses one, the next simpler is
    tried. CHART: data tables, and charts. With the simpler formats, a chart is a line of bars. LONG_TABLE: charts, and
    data tables of twice the length. ROW_BUTTONS: these, with a button in each row."""

    PLAIN = 0
    TABLE = 1
    DATA_TABLE = 2
    CHART = 3
    LONG_TABLE = 4
    ROW_BUTTONS = 5


def _with_circles(block: replies.Table) -> replies.Table:
    """The table with a circle in each cell of the column `toned` whose row has a tone."""
    if block.toned not in block.columns:
        return block
    at = block.columns.index(block.toned)
    rows = [list(row) for row in block.rows]
    for row, tone in zip(rows, block.tones, strict=False):
        if tone in CIRCLES:
            text = f"{CIRCLES[tone]} {row[at]}"
            # A short state stays on one line on a phone.
            row[at] = text.replace(" ", NO_BREAK_SPACE) if len(text) <= MAX_UNBROKEN else text
    return replace(block, rows=rows)


def _table_block(block: replies.Table, budget: int, table_format: TableFormat, file_name: str) -> blocks.RenderedBlock:
    budget -= TABLE_WEIGHT + CAPTION_WEIGHT + (blocks.SECTION_WEIGHT if table_format is TableFormat.TABLE else 0)
    fitted = _fitted(block, budget, table_format)
    if fitted.left_out(block):
        fitted = _fitted(block, budget - blocks.NOTE_WEIGHT, table_format)
    if not fitted.rows:
        return blocks.RenderedBlock(
            blocks=[_notice(f"A table of {blocks.plural(len(block.rows), 'row')} does not fit", file_name)],
            complete=False,
        )
    left_out = fitted.left_out(block)
    notes = [_notice(left_out, file_name)] if left_out else []
    shown, header, rows = fitted.table, fitted.header, fitted.rows
    numeric = [all(_is_number(row[at]) for row in shown.rows) for at in range(len(header))]
    if table_format >= TableFormat.DATA_TABLE:
        cells = [
            [_data_cell(*cell) for cell in zip(raw, row, numeric, strict=True)]
            for raw, row in zip(shown.rows, rows, strict=False)
        ]
        header_cells: list[_DataCell] = [slackblocks.RawText(column) for column in header]
        if table_format >= TableFormat.ROW_BUTTONS and _has_row_buttons(block, header, rows):
            header_cells.append(slackblocks.RawText(row_buttons.COLUMN))
            for number, row in enumerate(cells):
                row.append(row_buttons.ButtonCell(block.row_buttons[number], number))
        found: slackblocks.Block = slackblocks.DataTableBlock(
            rows=[header_cells, *cells],
            caption=_caption(block, len(rows)),
            page_size=max(MIN_PAGE_SIZE, len(rows)) if len(rows) <= MAX_SINGLE_PAGE else PAGE_SIZE,
        )
        return blocks.RenderedBlock(blocks=[found, *notes], complete=not left_out, has_table=True)
    found = slackblocks.TableBlock(
        rows=[[slackblocks.RawText(text) for text in row] for row in (header, *rows)],
        column_settings=[slackblocks.ColumnSettings(align="right" if number else "left") for number in numeric],
    )
    return blocks.RenderedBlock(
        blocks=[*blocks.heading(block.title), found, *notes], complete=not left_out, has_table=True
    )


def _has_row_buttons(block: replies.Table, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each row has a button that Slack takes, and the table has room for their column."""
    row = block.row_buttons
    if len(row) != len(block.rows) or len(header) >= MAX_COLUMNS or not all(map(buttons.fits, row)):
        return False
    used = sum(map(blocks.text_size, header)) + sum(_weight(cell) for texts in rows for cell in texts)
    return used + sum(map(row_buttons.weight, row)) <= MAX_LONG_TABLE_TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedTable:
    """The part of a table that fits. `table`: its columns that are shown, at `places`; `rows`: their texts, as many as
    are shown; `cut`: whether one of them has lost its end."""

    table: replies.Table
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    places: Sequence[int]
    cut: bool

    def left_out(self, block: replies.Table) -> str:
        """What is cut or left out of the whole table, empty for nothing."""
        return _left_out(block, self.places, len(self.rows), cut=self.cut)


def _fitted(block: replies.Table, budget: int, table_format: TableFormat) -> _FittedTable:
    """As many columns as fit with all rows and without a cut, the most important first. Where two do not fit, their
    cells are cut."""
    room, rows = min(budget, MAX_TABLE_TEXT), MAX_ROWS
    if table_format >= TableFormat.LONG_TABLE:
        # Its cells do not count for the whole message. It needs only room for the rest of it.
        room, rows = (MAX_LONG_TABLE_TEXT if budget >= 0 else -1), MAX_LONG_ROWS
    block = replace(block, rows=block.rows[:rows])
    order = block.by_importance()[:MAX_COLUMNS]
    lead = order[0]
    header = {at: _cell(block.columns[at], MAX_COLUMN_NAME) for at in order}
    texts = {at: [_cell(row[at]) for row in block.rows] for at in order}
    weights = {
        at: blocks.text_size(header[at]) + sum(_weight(_shortened(text, CELL_WIDTHS[0])) for text in texts[at])
        for at in order
    }
    count = len(order)
    while count > MIN_COLUMNS and sum(weights[at] for at in order[:count]) > room:
        count -= 1
    places = sorted(order[:count])
    room -= sum(blocks.text_size(header[at]) for at in places)
    shown: list[list[str]] = []
    cut = False
    for longest in CELL_WIDTHS:
        shown, cut, left = [], False, room
        for row in zip(*(texts[at] for at in places), strict=True):
            limits = [CELL_WIDTHS[0] if at == lead else longest for at in places]
            cells = [_shortened(text, limit) for text, limit in zip(row, limits, strict=True)]
            left -= sum(map(_weight, cells))
            if left < 0:
                break
            shown.append(cells)
            cut = cut or cells != list(row)
        if len(shown) == len(block.rows):
            break
    return _FittedTable(
        table=block.only(places), header=[header[at] for at in places], rows=shown, places=places, cut=cut
    )


def _monospace(block: replies.Table, budget: int, file_name: str) -> blocks.RenderedBlock:
    few = replace(block, title="", rows=block.rows[:MAX_ROWS])
    places = text_tables.fitting_columns(few, MONOSPACE_WIDTH)[:MAX_COLUMNS]
    few = few.only(places)
    aligned = plain_text.render(replies.Reply(blocks=(few,)), width=MONOSPACE_WIDTH).split("\n")
    cut = text_tables.has_cut_cells(few, MONOSPACE_WIDTH)
    title = blocks.titled(block.title)
    budget = min(
        budget - blocks.PREFORMATTED_WEIGHT - blocks.SECTION_WEIGHT - markup.size(title), blocks.MAX_VERBATIM_WEIGHT
    )
    shown = _fit_lines(aligned, budget)
    left_out = _left_out(block, places, len(shown) - 1, cut=cut)
    if left_out:
        shown = _fit_lines(aligned, budget - blocks.NOTE_WEIGHT)
        left_out = _left_out(block, places, len(shown) - 1, cut=cut)
    if len(shown) < 2:
        return blocks.RenderedBlock(
            blocks=[_notice(f"A table of {blocks.plural(len(block.rows), 'row')} does not fit", file_name)],
            complete=False,
        )
    return blocks.RenderedBlock(
        blocks=[blocks.preformatted(shown, title), *([_notice(left_out, file_name)] if left_out else [])],
        complete=not left_out,
    )


def _fit_lines(lines: Sequence[str], budget: int) -> list[str]:
    fitting = []
    for line in lines:
        budget -= markup.size(line) + 2
        if budget < 0:
            break
        fitting.append(line)
    return fitting


def _left_out(block: replies.Table, places: Sequence[int], rows: int, *, cut: bool) -> str:
    """A description of what is cut or left out; empty if nothing is. `places`: of the columns that are shown."""
    names = [_cell(block.columns[at], MAX_COLUMN_NAME) for at in text_tables.left_out(block, places)]
    parts = []
    if rows < len(block.rows):
        parts.append(f"{blocks.plural(len(block.rows) - rows, 'more row')}")
    if names:
        counted = blocks.plural(len(names), "more column")
        parts.append(f"{counted}: {', '.join(names)}" if len(names) <= MAX_NAMED_COLUMNS else counted)
    if not parts:
        return "Some long cells are cut" if cut else ""
    text = f"And {' and '.join(parts)}"
    return f"{text}; some long cells are cut" if cut else text


def _notice(left_out: str, file_name: str) -> slackblocks.ContextBlock:
    narrow = " Narrow it with an option such as --label." if "row" in left_out else ""
    # Some names of columns come from an engine.
    return blocks.note(markup.literal(f"{left_out}. The whole table is in the file {file_name}.{narrow}"))


def _caption(block: replies.Table, shown: int) -> str:
    rows = blocks.plural(shown, "row") if shown == len(block.rows) else f"{shown} of {len(block.rows):,} rows"
    title = blocks.titled(block.title)
    return f"{title} ({rows})" if title else rows


def _is_number(cell: str | float) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) <= MAX_EXACT_INTEGER


def _data_cell(value: str | float, text: str, numeric: bool) -> _DataCell:
    """A number if the whole column has numbers, so that Slack sorts it by value. A cell with a time is rich text."""
    if text_timestamps.contains_timestamp(text):
        return dates.make_date_cell(text)
    return slackblocks.RawNumber(value, text) if numeric and not isinstance(value, str) else slackblocks.RawText(text)


def _cell(cell: str | float, longest: int = sanitize.MAX_LENGTH) -> str:
    """A cell's text. A cut cell ends in “…”; an empty one gets a dash, because Slack refuses an empty text."""
    text = cell if isinstance(cell, str) else f"{cell:.10g}" if isinstance(cell, float) else str(cell)
    return _shortened(sanitize.single_line(text).replace("\t", " ").strip() or markup.NOTHING, longest)


def _weight(text: str) -> int:
    """The bytes that a cell counts for. A date element has more than its text."""
    return blocks.text_size(text_timestamps.replace_timestamps(text, lambda _: "x" * dates.WEIGHT))


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
