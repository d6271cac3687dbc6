"""Tables and fields as blocks of Slack, in the best shape a workspace can show.

A table is a `data_table` (sorts, pages), else a `table` (one a message), else aligned monospace. At most 99 rows and 20
columns are shown, a header not counted; long cells are cut first, rows left out last. Whatever is cut or left out is
told, and the whole table lies in the message's paper.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace

import slackblocks

from bot import plain_text
from bot.slack import blocks, markup
from core.model import replies
from core.text import sanitize

MOST_ROWS = 99  # with the header the 100 that Slack takes
MOST_COLUMNS = 20
CELLS = (400, 160, 60)  # characters of a cell, tried in turn until all rows fit
COLUMN = 40  # characters of a column's name
CAPTION = 150
PAGE = 20  # rows of a page where there are too many for one of at most …
ONE_PAGE = 25
FEWEST = 10
WIDTH = 110  # columns of monospace a Slack window shows without wrapping
MOST_FIELDS = 10
LONGEST_FIELD = 600  # characters; longer ones read better in a table
FRAME = 180  # weight of a table block without texts
MOST_TEXT = 9_900  # characters of all cells of one table, a little under the 10,000 of Slack's reference
EXACT = 2**53  # above, numbers are shown as text: JSON readers round them


class Shape(enum.IntEnum):
    """What a workspace can show; when Slack refuses a message's blocks, the next lower shape is tried."""

    PLAIN = 0
    TABLE = 1
    DATA_TABLE = 2


def table(block: replies.Table, *, room: int, shape: Shape, paper: str) -> blocks.Part:
    if not block.rows or not block.columns:
        title = blocks.titled(block.title)
        said = f"{title}: {block.empty}" if title else block.empty
        return blocks.text(replies.Text(text=said), room=room, paper=paper)
    if shape is Shape.PLAIN:
        return _monospace(block, room, paper)
    return _native(block, room, shape, paper)


def fields(block: replies.Fields, *, room: int, shape: Shape, paper: str) -> blocks.Part:
    """Names and values side by side; as a table of two columns where they are many or long."""
    if not block.fields:
        return blocks.Part(blocks=blocks.heading(block.title))
    pairs = [
        f"{markup.bold(name) or markup.NOTHING}\n{markup.literal(value).strip() or markup.NOTHING}"
        for name, value in block.fields.items()
    ]
    if len(pairs) <= MOST_FIELDS and max(map(len, pairs)) <= LONGEST_FIELD:
        title = markup.bold(blocks.titled(block.title))
        found = slackblocks.SectionBlock(
            text=blocks.verbatim(title) if title else None, fields=[blocks.verbatim(pair) for pair in pairs]
        )
        if blocks.weight([found]) <= room:
            return blocks.Part(blocks=[found])
    rows = tuple(block.fields.items())
    return table(
        replies.Table(columns=("NAME", "VALUE"), rows=rows, title=block.title), room=room, shape=shape, paper=paper
    )


def _native(block: replies.Table, room: int, shape: Shape, paper: str) -> blocks.Part:
    columns = [_cell(column, COLUMN) for column in block.columns[:MOST_COLUMNS]]
    numeric = [all(_is_number(row[at]) for row in block.rows) for at in range(len(columns))]
    header = sum(map(len, columns))
    room -= FRAME + CAPTION + header + (blocks.FRAME if shape is Shape.TABLE else 0)
    rows, cut = _fitted(block, len(columns), min(room, MOST_TEXT - header))
    told = _left_out(block, len(rows), cut)
    if told:
        rows, cut = _fitted(block, len(columns), min(room - blocks.NOTE, MOST_TEXT - header))
        told = _left_out(block, len(rows), cut)
    if not rows:
        return blocks.Part(
            blocks=[_told(f"A table of {blocks.count(len(block.rows), 'row')} does not fit", paper)], whole=False
        )
    notes = [_told(told, paper)] if told else []
    if shape is Shape.DATA_TABLE:
        cells = [
            [_data_cell(*cell) for cell in zip(raw, row, numeric, strict=False)]
            for raw, row in zip(block.rows, rows, strict=False)
        ]
        found: slackblocks.Block = slackblocks.DataTableBlock(
            rows=[[slackblocks.RawText(column) for column in columns], *cells],
            caption=_caption(block, len(rows)),
            page_size=max(FEWEST, len(rows)) if len(rows) <= ONE_PAGE else PAGE,
        )
        return blocks.Part(blocks=[found, *notes], whole=not told)
    found = slackblocks.TableBlock(
        rows=[[slackblocks.RawText(said) for said in row] for row in (columns, *rows)],
        column_settings=[slackblocks.ColumnSettings(align="right" if number else "left") for number in numeric],
    )
    return blocks.Part(blocks=[*blocks.heading(block.title), found, *notes], whole=not told, native=True)


def _fitted(block: replies.Table, columns: int, room: int) -> tuple[list[list[str]], bool]:
    """The rows that fit, as texts, and whether a cell of them is cut."""
    rows: list[list[str]] = []
    cut = False
    for longest in CELLS:
        rows, cut, left = [], False, room
        for row in block.rows[:MOST_ROWS]:
            cells = [_cell(cell, longest) for cell in row[:columns]]
            left -= sum(map(len, cells))
            if left < 0:
                break
            rows.append(cells)
            cut = cut or any(len(_cell(cell)) > longest for cell in row[:columns])
        if len(rows) == min(len(block.rows), MOST_ROWS):
            break
    return rows, cut


def _monospace(block: replies.Table, room: int, paper: str) -> blocks.Part:
    few = replace(
        block,
        title="",
        rows=tuple(row[:MOST_COLUMNS] for row in block.rows[:MOST_ROWS]),
        columns=block.columns[:MOST_COLUMNS],
    )
    aligned = plain_text.render(replies.Reply(blocks=(few,)), width=WIDTH).split("\n")
    cut = aligned != plain_text.render(replies.Reply(blocks=(few,))).split("\n")
    title = blocks.titled(block.title)
    room = min(room - blocks.PREFORMATTED - blocks.FRAME - markup.size(title), blocks.VERBATIM_ROOM)
    shown = _as_many(aligned, room)
    told = _left_out(block, len(shown) - 1, cut)
    if told:
        shown = _as_many(aligned, room - blocks.NOTE)
        told = _left_out(block, len(shown) - 1, cut)
    if len(shown) < 2:
        return blocks.Part(
            blocks=[_told(f"A table of {blocks.count(len(block.rows), 'row')} does not fit", paper)], whole=False
        )
    return blocks.Part(
        blocks=[blocks.preformatted(shown, title), *([_told(told, paper)] if told else [])], whole=not told
    )


def _as_many(lines: Sequence[str], room: int) -> list[str]:
    kept = []
    for line in lines:
        room -= markup.size(line) + 2
        if room < 0:
            break
        kept.append(line)
    return kept


def _left_out(block: replies.Table, rows: int, cut: bool) -> str:
    """What of the table is not shown, in words; empty where all is."""
    told = []
    if rows < len(block.rows):
        told.append(f"{blocks.count(len(block.rows) - rows, 'more row')}")
    if len(block.columns) > MOST_COLUMNS:
        told.append(f"{blocks.count(len(block.columns) - MOST_COLUMNS, 'more column')}")
    if not told:
        return "Some long cells are cut" if cut else ""
    said = f"And {' and '.join(told)}"
    return f"{said}; some long cells are cut" if cut else said


def _told(said: str, paper: str) -> slackblocks.ContextBlock:
    narrow = " Narrow it with an option such as --label." if "row" in said else ""
    return blocks.note(f"{said}. The whole table is in the file {paper}.{narrow}")


def _caption(block: replies.Table, shown: int) -> str:
    rows = blocks.count(shown, "row") if shown == len(block.rows) else f"{shown} of {len(block.rows):,} rows"
    title = blocks.titled(block.title)
    return f"{title} ({rows})" if title else rows


def _is_number(cell: str | float) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) <= EXACT


def _data_cell(
    value: str | float, said: str, sorts: bool
) -> slackblocks.RawText | slackblocks.RawNumber | slackblocks.RichTextBlock:
    """A number where the whole column is numbers, so that Slack sorts it as such."""
    return slackblocks.RawNumber(value, said) if sorts and not isinstance(value, str) else slackblocks.RawText(said)


def _cell(cell: str | float, longest: int = sanitize.MAX_LENGTH) -> str:
    """A cell's text; one that is cut ends in … and Slack refuses empty ones."""
    said = cell if isinstance(cell, str) else f"{cell:.10g}" if isinstance(cell, float) else str(cell)
    said = sanitize.single_line(said).replace("\t", " ").strip() or markup.NOTHING
    return said if len(said) <= longest else f"{said[: longest - 1]}…"
