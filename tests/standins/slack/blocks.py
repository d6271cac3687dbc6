"""Block Kit as Slack enforces it: `refuse` raises what Slack would answer, `fill_ids` adds the ids Slack would make up.

Limits come from Slack's reference of each block. The stand-in knows the blocks a product like ours uses; another real
type (cards, plans, video …) is refused as unsupported, and its check must then be written here first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.standins.slack import rich, state
from tests.standins.slack.elements import (
    BOTH,
    IN_ACTIONS,
    IN_SECTION,
    INPUTS,
    PLAIN,
    Findings,
    context_element,
    element,
    keys,
    listing,
    size,
    string,
    text,
)
from tests.standins.slack.records import Json, Refused

MOST_BLOCKS = {"message": 50, "modal": 100, "home": 100}
MOST_TEXT, MOST_MARKDOWN = 13_000, 12_000
# Slack counts something for each block besides its text; 40 agrees with what others measured (9,597 characters in 50
# blocks pass, 11,341 in 45 do not).
PER_BLOCK = 40
READ = frozenset({"text", "caption", "alt_text", "title"})
PHASED = frozenset({"table", "data_table", "markdown", "data_visualization", "action_cell"})


def refuse(workspace: state.Workspace, blocks: Any, surface: str = "message") -> None:
    """Raises `Refused` as chat.postMessage would; blocks the workspace lacks, and tables that are longer than it takes,
    are refused without blame."""
    settings = workspace.settings
    found = check(blocks, surface=surface, rollout=frozenset(settings.rollout), long_tables=settings.long_tables)
    error = "invalid_blocks" if surface == "message" else "invalid_arguments"
    if any(rich.ONE_TABLE in one for one in found.wrong):
        raise Refused("invalid_attachments", rule="block kit", messages=found.wrong)
    if found.wrong and not settings.long_tables and not check(blocks, surface=surface).wrong:
        raise Refused(error, messages=found.wrong)
    if found.wrong:
        raise Refused(error, rule="block kit", messages=[*found.wrong, *found.not_yet])
    if found.not_yet:
        raise Refused(error, messages=found.not_yet)
    if surface == "message" and total_text(blocks, settings.long_tables) + PER_BLOCK * len(blocks) > MOST_TEXT:
        raise Refused("msg_blocks_too_long", rule=f"all blocks at most {MOST_TEXT} characters")


def check(
    blocks: Any, *, surface: str = "message", rollout: frozenset[str] = PHASED, long_tables: bool = True
) -> Findings:
    found = Findings(surface=surface, rollout=rollout, long_tables=long_tables)
    if not isinstance(blocks, list):
        found.say("/blocks", "must provide an array")
        return found
    if len(blocks) > MOST_BLOCKS[surface]:
        found.say("/blocks", f"no more than {MOST_BLOCKS[surface]} items allowed")
    for at, block in enumerate(blocks):
        _block(found, block, f"/blocks/{at}")
    if found.markdown > MOST_MARKDOWN:
        found.say("/blocks", f"all markdown blocks together must be less than {MOST_MARKDOWN + 1} characters")
    return found


def total_text(value: Any, long_tables: bool = True) -> int:
    """How many bytes a reader is shown, escapes counted as they are written. The cells of a data table that may have
    more than a whole message have a limit of their own."""
    if isinstance(value, dict):
        own = ("rows",) if long_tables and value.get("type") == "data_table" else ()
        return sum(
            size(inner) if key in READ and isinstance(inner, str) else total_text(inner, long_tables)
            for key, inner in value.items()
            if key not in own
        )
    return sum(total_text(inner, long_tables) for inner in value) if isinstance(value, list) else 0


def fill_ids(workspace: state.Workspace, blocks: list[Json]) -> list[Json]:
    """A copy in which every block has a block_id and every interactive element an action_id."""
    blocks = copy.deepcopy(blocks)
    for block in blocks:
        block.setdefault("block_id", workspace.id("b"))
        for part in interactive(block):
            part.setdefault("action_id", workspace.id("a"))
    return blocks


def interactive(block: Json) -> list[Json]:
    """The elements of a block that a person can press, choose from or type into."""
    if block.get("type") == "data_table":
        cells = [cell for row in block.get("rows") or () for cell in row if cell.get("type") == "action_cell"]
        return [cell["element"] for cell in cells]
    parts = [*(block.get("elements") or ()), block.get("accessory"), block.get("element")]
    if block.get("type") not in ("actions", "section", "input"):
        return []
    return [part for part in parts if isinstance(part, dict) and part.get("type") in INPUTS | {"button", "overflow"}]


def _block(found: Findings, block: Any, where: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in BLOCKS or (found.surface != "message" and kind in ("table", "data_table", "markdown")):
        found.say(f"{where}/type", f"unsupported type: {kind}")
        return
    if kind in PHASED and kind not in found.rollout:
        found.not_yet.append(f"unsupported type: {kind} [json-pointer:{where}/type]")
        return
    name = block.get("block_id")
    string(found, name, f"{where}/block_id", 255)
    if isinstance(name, str):
        if name in found.block_ids:
            found.say(f"{where}/block_id", f'`block_id` "{name}" already exists')
        found.block_ids.add(name)
    BLOCKS[kind](found, block, where)


def _section(found: Findings, block: Json, where: str) -> None:
    if not keys(found, block, where, ("type",), ("block_id", "text", "fields", "accessory", "expand")):
        return
    if block.get("text") is None and block.get("fields") is None:
        found.say(where, "missing required field: text or fields")
    text(found, block.get("text"), f"{where}/text", 3000)
    if block.get("fields") is not None:
        for at, one in enumerate(listing(found, block["fields"], f"{where}/fields", 10)):
            text(found, one, f"{where}/fields/{at}", 2000)
    if block.get("accessory") is not None:
        element(found, block["accessory"], f"{where}/accessory", IN_SECTION, set())


def _header(found: Findings, block: Json, where: str) -> None:
    if keys(found, block, where, ("type", "text"), ("block_id", "level")):
        text(found, block["text"], f"{where}/text", 150, PLAIN)


def _divider(found: Findings, block: Json, where: str) -> None:
    keys(found, block, where, ("type",), ("block_id",))


def _context(found: Findings, block: Json, where: str) -> None:
    if keys(found, block, where, ("type", "elements"), ("block_id",)):
        for at, one in enumerate(listing(found, block["elements"], f"{where}/elements", 10)):
            context_element(found, one, f"{where}/elements/{at}")


def _actions(found: Findings, block: Json, where: str) -> None:
    if keys(found, block, where, ("type", "elements"), ("block_id",)):
        seen: set[str] = set()
        for at, one in enumerate(listing(found, block["elements"], f"{where}/elements", 25)):
            element(found, one, f"{where}/elements/{at}", IN_ACTIONS, seen)


def _image(found: Findings, block: Json, where: str) -> None:
    if keys(found, block, where, ("type", "alt_text"), ("block_id", "image_url", "slack_file", "title")):
        string(found, block["alt_text"], f"{where}/alt_text", 2000)
        string(found, block.get("image_url"), f"{where}/image_url", 3000)
        text(found, block.get("title"), f"{where}/title", 2000, PLAIN)
        if (block.get("image_url") is None) == (block.get("slack_file") is None):
            found.say(where, "exactly one of image_url and slack_file is needed")


def _input(found: Findings, block: Json, where: str) -> None:
    more = ("block_id", "hint", "optional", "dispatch_action")
    if keys(found, block, where, ("type", "label", "element"), more):
        text(found, block["label"], f"{where}/label", 2000, PLAIN)
        text(found, block.get("hint"), f"{where}/hint", 2000, PLAIN)
        element(found, block["element"], f"{where}/element", INPUTS, set())


def _markdown(found: Findings, block: Json, where: str) -> None:
    if keys(found, block, where, ("type", "text"), ("block_id",)):
        string(found, block["text"], f"{where}/text", MOST_MARKDOWN)
        found.markdown += len(str(block["text"]))


def _alert(found: Findings, block: Json, where: str) -> None:
    if found.surface != "modal":
        found.say(f"{where}/type", "unsupported type: alert")
    elif keys(found, block, where, ("type", "text"), ("block_id", "level")):
        text(found, block["text"], f"{where}/text", 200, BOTH)


def _chart(found: Findings, block: Json, where: str) -> None:
    found.charts += 1
    if found.charts > 2:
        found.say(where, "no more than 2 data_visualization blocks allowed")
    if keys(found, block, where, ("type", "title", "chart"), ("block_id",)):
        string(found, block["title"], f"{where}/title", 50)
        chart = block["chart"]
        if keys(found, chart, f"{where}/chart", ("type",), ("series", "segments", "axis_config")):
            if chart["type"] not in ("pie", "bar", "area", "line"):
                found.say(f"{where}/chart/type", "must be one of: pie, bar, area, line")
            for name, most in (("series", 6), ("segments", 20)):
                if chart.get(name) is not None:
                    listing(found, chart[name], f"{where}/chart/{name}", most)


BLOCKS: dict[str, Callable[[Findings, Json, str], None]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "rich_text": rich.rich_text,
    "table": rich.table,
    "data_table": rich.data_table,
    "data_visualization": _chart,
    "alert": _alert,
}
