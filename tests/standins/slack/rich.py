"""Checks of rich_text and of the two tables, whose cells may hold it."""

from __future__ import annotations

from typing import Any

from tests.standins.slack.elements import Findings, element, keys, listing, size, string

STYLE = frozenset({"bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"})
INLINE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text": (("text",), ("style",)),
    "link": (("url",), ("text", "unsafe", "style")),
    "user": (("user_id",), ("style",)),
    "usergroup": (("usergroup_id",), ("style",)),
    "channel": (("channel_id",), ("style",)),
    "team": (("team_id",), ("style",)),
    "broadcast": (("range",), ("style",)),
    "emoji": (("name",), ("unicode", "skin_tone", "style", "url")),
    "date": (("timestamp", "format"), ("url", "fallback", "style")),
    "color": (("value",), ("style",)),
}
MOST_COLUMNS, MOST_ROWS, MOST_CELL_TEXT = 20, 100, 10_000
MOST_LONG_ROWS, MOST_LONG_CELL_TEXT = 201, 20_000
ONE_TABLE = "only_one_table_allowed"


def rich_text(found: Findings, value: Any, where: str) -> None:
    if not keys(found, value, where, ("type", "elements"), ("block_id",)):
        return
    for at, part in enumerate(listing(found, value["elements"], f"{where}/elements", 1000, 0)):
        _part(found, part, f"{where}/elements/{at}")


def _part(found: Findings, part: Any, where: str) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "rich_text_list":
        if keys(found, part, where, ("type", "style", "elements"), ("indent", "offset", "border")):
            if part["style"] not in ("bullet", "ordered"):
                found.say(f"{where}/style", "must be one of: bullet, ordered")
            for at, item in enumerate(listing(found, part["elements"], f"{where}/elements", 1000)):
                if not isinstance(item, dict) or item.get("type") != "rich_text_section":
                    found.say(f"{where}/elements/{at}", "must be a rich_text_section")
                else:
                    _part(found, item, f"{where}/elements/{at}")
    elif kind in ("rich_text_section", "rich_text_preformatted", "rich_text_quote"):
        more = {"rich_text_preformatted": ("border", "language"), "rich_text_quote": ("border",)}.get(kind, ())
        if keys(found, part, where, ("type", "elements"), more):
            for at, item in enumerate(listing(found, part["elements"], f"{where}/elements", 10_000, 0)):
                _inline(found, item, f"{where}/elements/{at}", plain=kind == "rich_text_preformatted")
    else:
        found.say(where, f"unsupported type: {kind}")


def _inline(found: Findings, item: Any, where: str, *, plain: bool) -> None:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind not in INLINE or (plain and kind not in ("text", "link")):
        found.say(where, f"unsupported type: {kind}")
        return
    required, optional = INLINE[kind]
    if not keys(found, item, where, ("type", *required), optional):
        return
    if kind == "text":
        string(found, item["text"], f"{where}/text", 1_000_000)
    if kind == "broadcast" and item["range"] not in ("here", "channel", "everyone"):
        found.say(f"{where}/range", "must be one of: here, channel, everyone")
    style = item.get("style")
    if style is not None and keys(found, style, f"{where}/style", (), STYLE):
        for name, on in style.items():
            if not isinstance(on, bool):
                found.say(f"{where}/style/{name}", "must be a boolean")


def table(found: Findings, block: Any, where: str) -> None:
    _count(found, where)
    if not keys(found, block, where, ("type", "rows"), ("block_id", "column_settings")):
        return
    settings = block.get("column_settings")
    if settings is not None:
        for at, column in enumerate(listing(found, settings, f"{where}/column_settings", MOST_COLUMNS)):
            if column is not None and keys(found, column, f"{where}/column_settings/{at}", (), ("align", "is_wrapped")):
                if column.get("align") not in (None, "left", "center", "right"):
                    found.say(f"{where}/column_settings/{at}/align", "must be one of: left, center, right")
    _rows(found, block["rows"], f"{where}/rows", MOST_ROWS, 1, MOST_CELL_TEXT)


def _count(found: Findings, where: str) -> None:
    """Whether several data tables fit one message, Slack's documents do not say: the strictest reading is one."""
    found.tables += 1
    if found.tables > 1:
        found.say(where, ONE_TABLE)


def data_table(found: Findings, block: Any, where: str) -> None:
    _count(found, where)
    if not keys(found, block, where, ("type", "rows", "caption"), ("block_id", "page_size", "row_header_column_index")):
        return
    string(found, block["caption"], f"{where}/caption", 255)
    page = block.get("page_size", 5)
    if not isinstance(page, int) or not 1 <= page <= 100:
        found.say(f"{where}/page_size", "must be between 1 and 100")
    if found.long_tables:
        rows = _rows(found, block["rows"], f"{where}/rows", MOST_LONG_ROWS, 2, MOST_LONG_CELL_TEXT)
    else:
        rows = _rows(found, block["rows"], f"{where}/rows", MOST_ROWS + 1, 2, MOST_CELL_TEXT)
    if len({len(row) for row in rows if isinstance(row, list)}) > 1:
        found.say(f"{where}/rows", "all rows must have the same number of columns")
    header = rows[0] if rows and isinstance(rows[0], list) else []
    if any(isinstance(cell, dict) and cell.get("type") == "rich_text" for cell in header):
        found.say(f"{where}/rows/0", "header cells may not be rich_text")
    index = block.get("row_header_column_index", 0)
    if not isinstance(index, int) or not 0 <= index < max(1, len(header)):
        found.say(f"{where}/row_header_column_index", "must be the index of a column")


def _rows(found: Findings, rows: Any, where: str, most: int, least: int, most_text: int) -> list[Any]:
    total = 0
    checked = listing(found, rows, where, most, least)
    for at, row in enumerate(checked):
        for column, cell in enumerate(listing(found, row, f"{where}/{at}", MOST_COLUMNS)):
            total += _cell(found, cell, f"{where}/{at}/{column}")
    if total > most_text:
        found.say(where, f"all cells together must be less than {most_text + 1} characters")
    return checked


def _texts(value: Any) -> int:
    """The bytes of the texts in rich text; of a date, those of its format."""
    if isinstance(value, dict):
        shown = value.get("format", "") if value.get("type") == "date" else value.get("text", "")
        return size(str(shown)) + _texts(value.get("elements"))
    return sum(map(_texts, value)) if isinstance(value, list) else 0


def _cell(found: Findings, cell: Any, where: str) -> int:
    """Checks one cell and tells how many bytes it holds."""
    kind = cell.get("type") if isinstance(cell, dict) else None
    if kind == "raw_text":
        if keys(found, cell, where, ("type", "text")):
            string(found, cell["text"], f"{where}/text", 1_000_000)
            return size(str(cell["text"]))
    elif kind == "raw_number":
        if keys(found, cell, where, ("type", "value"), ("text",)):
            value = cell["value"]
            if isinstance(value, bool) or not isinstance(value, int | float):
                found.say(f"{where}/value", "must be a number")
            return size(str(cell.get("text", value)))
    elif kind == "action_cell":
        if kind not in found.rollout:
            found.not_yet.append(f"unsupported type: {kind} [json-pointer:{where}/type]")
        elif keys(found, cell, where, ("type", "element"), ("fallback",)):
            element(found, cell["element"], f"{where}/element", frozenset({"button"}), found.row_actions)
            if cell.get("fallback") is not None:
                return _cell(found, cell["fallback"], f"{where}/fallback")
    elif kind == "rich_text":
        rich_text(found, cell, where)
        return _texts(cell.get("elements"))
    else:
        found.say(where, f"unsupported type: {kind}")
    return 0
