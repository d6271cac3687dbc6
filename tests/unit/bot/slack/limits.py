"""Slack's limits and what must never be in a message, checked on plain JSON without a word of the renderer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MENTION = re.compile(r"[<>]|&(?!amp;|lt;|gt;)")
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
DATE = re.compile(r"<!date\^[0-9]+\^\{date_short_pretty\} \{time_secs\}\|[0-9]{4}-[0-9-]{5} [0-9:]{8} UTC>")
INLINE_CODE = re.compile(r"(?<![^\s(])`[^`\n]+`(?![^\s.,;:?!)])")
SIGNS = (":white_check_mark: ", ":warning: ", ":x: ")
KNOWN = {"section", "context", "actions", "rich_text", "table", "data_table", "data_visualization"}


def size(text: str) -> int:
    """Slack counts bytes at least in some places."""
    return len(text.encode())


def problems(blocks: Any, head: str = "", called: Sequence[str] = (), *, long_tables: bool = False) -> list[str]:
    """Everything wrong with a message's blocks, in words. `called`: the ids that it may mention, in a block of their
    own. `long_tables`: the workspace takes data tables of 201 rows, whose cells have a limit of their own."""
    allowed = {f"<!subteam^{one}>" if one.startswith("S") else f"<@{one}>" for one in called if one.isalnum()}
    return list(_message(json.loads(json.dumps(blocks)), head, allowed, long_tables))


def unsafe(mrkdwn: str) -> str:
    """What Slack would act on in mrkdwn, our one sign and bold names aside; empty where it only reads."""
    mrkdwn = DATE.sub("", mrkdwn)
    if MENTION.search(mrkdwn):
        return "markup or an entity of its own"
    if UNSEEN.search(mrkdwn):
        return "an invisible character"
    bare = INLINE_CODE.sub("", mrkdwn)
    if "`" in bare:
        return "a backtick outside code"
    for line in bare.split("\n"):
        if line.startswith("&gt;"):
            return "a quote"
        if re.search(r"[*~]|(?<!\w)_|_(?!\w)", line):
            return "formatting"
        if re.search(r":[a-z0-9_+-]*[a-z][a-z0-9_+-]*:", line):
            return "an emoji"
        if re.search(r"@(channel|here|everyone)\b", line):
            return "a broadcast"
    return ""


def _message(blocks: list[dict[str, Any]], head: str, allowed: set[str], long_tables: bool) -> Iterator[str]:
    if not 1 <= len(blocks) <= 50:
        yield f"{len(blocks)} blocks"
    ids = [block.get("block_id") for block in blocks]
    if len(set(ids)) != len(ids) or not all(isinstance(one, str) and 0 < len(one) <= 255 for one in ids):
        yield f"block ids {ids}"
    if sum(block["type"] in ("table", "data_table") for block in blocks) > 1:
        yield "two tables"
    signs = 0
    total = 0
    for at, block in enumerate(blocks):
        if block["type"] not in KNOWN:
            yield f"type {block['type']}"
            continue
        rows = block.get("rows", ())
        total += size(json.dumps({**block, "rows": ()} if rows else block, ensure_ascii=False))
        texts = sum(size(text) for row in rows for cell in row for text in _texts(cell))
        if not long_tables:
            total += texts
        yield from globals()[f"_{block['type']}"](block)
        most, text = (201, 20_000) if long_tables and block["type"] == "data_table" else (100, 10_000)
        if len(rows) > most or texts > text:
            yield f"{len(rows)} rows"
        for mrkdwn in _mrkdwn(block):
            if at == 0 and head and mrkdwn == head:
                continue
            if allowed and set(mrkdwn.split()) <= allowed:
                continue
            sign = next((sign for sign in SIGNS if mrkdwn.startswith(sign)), "")
            signs += bool(sign)
            text = mrkdwn.removeprefix(sign)
            # A name in bold is ours: a field's name or a title, alone on its line.
            text = "\n".join(re.sub(r"^\*([^*`]+)\*$", r"\1", line) for line in text.split("\n"))
            if wrong := unsafe(text):
                yield f"{wrong} in {mrkdwn!r}"
    if signs > 1:
        yield f"{signs} signs"
    if total >= 12_000:
        yield f"{total} bytes"


def _section(block: Mapping[str, Any]) -> Iterator[str]:
    fields = block.get("fields")
    if block.get("text") is None and not fields:
        yield "an empty section"
    if block.get("text") is not None:
        yield from _text(block["text"], "mrkdwn", 3_000)
    if fields is not None:
        if not 1 <= len(fields) <= 10:
            yield f"{len(fields)} fields"
        for field in fields:
            yield from _text(field, "mrkdwn", 2_000)


def _context(block: Mapping[str, Any]) -> Iterator[str]:
    if not 1 <= len(block["elements"]) <= 10:
        yield "context elements"
    for element in block["elements"]:
        yield from _text(element, "mrkdwn", 3_000)


def _actions(block: Mapping[str, Any]) -> Iterator[str]:
    buttons = block["elements"]
    if not 1 <= len(buttons) <= 25:
        yield f"{len(buttons)} buttons"
    if [button["action_id"] for button in buttons] != [f"deck:{at}" for at in range(len(buttons))]:
        yield "action ids"
    for button in buttons:
        yield from _text(button["text"], "plain_text", 75)
        if not 1 <= len(button["value"]) <= 2_000:
            yield "a button's value"
        if button.get("style") not in (None, "danger"):
            yield "a button's style"
        if confirm := button.get("confirm"):
            for key, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
                yield from _text(confirm[key], "plain_text", most)
        asks = button.get("style") == "danger" and not button["value"].startswith("confirm ")
        if asks != ("confirm" in button):
            yield "a dialogue that is missing, or one too many"


def _rich_text(block: Mapping[str, Any]) -> Iterator[str]:
    for element in block["elements"]:
        if element["type"] not in ("rich_text_section", "rich_text_preformatted"):
            yield f"rich text {element['type']}"
        for inner in element["elements"]:
            if inner["type"] == "date" and set(inner) == {"type", "timestamp", "format", "fallback"}:
                continue
            if inner["type"] != "text" or set(inner) - {"type", "text", "style"}:
                yield f"a rich text element {inner}"
            elif not inner["text"] or UNSEEN.search(inner["text"]):
                yield f"a rich text of {inner['text']!r}"


def _data_visualization(block: Mapping[str, Any]) -> Iterator[str]:
    series, categories = block["chart"]["series"], block["chart"]["axis_config"]["categories"]
    names = [block["title"], *categories, *(each["name"] for each in series)]
    if any(not name or UNSEEN.search(name) for name in names) or len(block["title"]) > 50:
        yield "names in a chart"
    if (
        not 1 <= len(series) <= 6
        or not 2 <= len(categories) <= 20
        or len({each["name"] for each in series}) < len(series)
    ):
        yield "the size of a chart"
    if any([point["label"] for point in each["data"]] != categories for each in series):
        yield "points of a chart"


def _table(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _rows(block["rows"], {"raw_text"})
    if len(block.get("column_settings", ())) > 20:
        yield "column settings"


def _data_table(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _rows(block["rows"], {"raw_text", "raw_number", "rich_text"})
    if not block["caption"] or UNSEEN.search(block["caption"]):
        yield "a caption"
    if not 1 <= block["page_size"] <= 100:
        yield "a page size"
    if any(cell["type"] != "raw_text" for cell in block["rows"][0]):
        yield "a number in the header"


def _rows(rows: list[list[dict[str, Any]]], kinds: set[str]) -> Iterator[str]:
    if len(rows) < 2 or not 1 <= len(rows[0]) <= 20 or len({len(row) for row in rows}) != 1:
        yield f"{len(rows)} rows"
    for row in rows:
        for cell in row:
            texts = list(_texts(cell))
            if (
                cell["type"] not in kinds
                or not all(texts)
                or any(UNSEEN.search(text) or "\n" in text for text in texts)
            ):
                yield f"a cell {cell}"
            if cell["type"] == "rich_text":
                yield from _rich_text(cell)


def _texts(cell: dict[str, Any]) -> Iterator[str]:
    """The texts of a cell; of a date, the one that is shown where it cannot be."""
    if "text" in cell:
        yield cell["text"]
    for section in cell.get("elements", ()):
        for inner in section["elements"]:
            yield inner["fallback"] if inner["type"] == "date" else inner["text"]


def _text(text: Mapping[str, Any], kind: str, most: int) -> Iterator[str]:
    length = size(text["text"]) if most >= 2_000 else len(text["text"])
    if text["type"] != kind or not text["text"].strip() or length > most:
        yield f"a text {text}"
    if kind == "plain_text" and (text.get("emoji") is not False or UNSEEN.search(text["text"])):
        yield f"a plain text {text}"
    if kind == "mrkdwn" and text.get("verbatim") is not True:
        yield f"a text Slack may put links into: {text}"


def _mrkdwn(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            yield value["text"]
        for inner in value.values():
            yield from _mrkdwn(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _mrkdwn(inner)
