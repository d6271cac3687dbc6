"""What a person reads: messages and views as plain text, without markup, mentions by name, entities decoded.

header, section, context     their text; fields one a line
actions, accessories         [Label] [Label]
rich_text, markdown, tables  lines, `• item`, cells joined by ` | `
"""

from __future__ import annotations

import html
import re
from typing import Any

from tests.standins.slack import state
from tests.standins.slack.records import Json, Message, View

SEQUENCE = re.compile(r"<([^<>\n]+)>")
FENCE = re.compile(r"```(.*?)```|`([^`\n]+)`", re.DOTALL)
EMPHASIS = re.compile(r"(?<![\w*_~])([*_~])(?=\S)([^\n]+?)(?<=\S)\1(?![\w*_~])")


def message(workspace: state.Workspace, one: Message) -> str:
    parts = blocks(workspace, one.blocks) if one.blocks else mrkdwn(workspace, one.text)
    lines = [parts] if parts else []
    for attached in one.attachments:
        if attached.get("blocks"):
            lines.append(blocks(workspace, attached["blocks"]))
        else:
            lines += [mrkdwn(workspace, attached[key]) for key in ("pretext", "title", "text") if attached.get(key)]
            lines += [f"{field.get('title', '')}: {field.get('value', '')}" for field in attached.get("fields") or ()]
    return "\n".join(lines)


def view(workspace: state.Workspace, one: View) -> str:
    body = one.body
    lines = [text(workspace, body["title"])] if body.get("title") else []
    lines.append(blocks(workspace, body.get("blocks") or []))
    lines += [f"[{text(workspace, body[key])}]" for key in ("submit", "close") if body.get(key)]
    return "\n".join(lines)


def blocks(workspace: state.Workspace, given: list[Json]) -> str:
    return "\n".join(line for one in given if (line := block(workspace, one)))


def block(workspace: state.Workspace, one: Json) -> str:
    match one.get("type"):
        case "header" | "alert":
            return text(workspace, one["text"])
        case "section":
            lines = [text(workspace, one["text"])] if one.get("text") else []
            lines += [text(workspace, field) for field in one.get("fields") or ()]
            if one.get("accessory"):
                lines.append(element(workspace, one["accessory"]))
            return "\n".join(lines)
        case "context":
            return " ".join(element(workspace, part) for part in one["elements"])
        case "actions":
            return " ".join(element(workspace, part) for part in one["elements"])
        case "input":
            return f"{text(workspace, one['label'])}: {element(workspace, one['element'])}"
        case "divider":
            return "────"
        case "image":
            return f"(image: {one['alt_text']})"
        case "markdown":
            return str(one["text"])
        case "rich_text":
            return "\n".join(rich(workspace, part) for part in one["elements"])
        case "table":
            return "\n".join(" | ".join(cell(workspace, part) for part in row) for row in one["rows"])
        case "data_table":
            rows = (" | ".join(cell(workspace, part) for part in row) for row in one["rows"])
            return "\n".join([one["caption"], *rows])
        case "data_visualization":
            return f"(chart: {one['title']})"
    return ""


def element(workspace: state.Workspace, one: Json) -> str:
    match one.get("type"):
        case "plain_text" | "mrkdwn":
            return text(workspace, one)
        case "image":
            return f"(image: {one['alt_text']})"
        case "button":
            return f"[{text(workspace, one['text'])}]"
    choices = [text(workspace, option["text"]) for option in one.get("options") or ()]
    if choices:
        return f"[{' / '.join(choices)}]"
    return f"[{one.get('initial_value') or ''}]"


def text(workspace: state.Workspace, one: Json) -> str:
    """A text object. Slack decodes the three entities in plain_text too."""
    return mrkdwn(workspace, one["text"]) if one.get("type") == "mrkdwn" else html.unescape(one["text"])


def cell(workspace: state.Workspace, one: Json) -> str:
    if one["type"] == "rich_text":
        return "\n".join(rich(workspace, part) for part in one["elements"])
    return str(one.get("text", one.get("value", "")))


def rich(workspace: state.Workspace, part: Json) -> str:
    if part["type"] == "rich_text_list":
        marks = (f"{at}. " if part["style"] == "ordered" else "• " for at in range(1, 10_000))
        return "\n".join(mark + rich(workspace, item) for mark, item in zip(marks, part["elements"], strict=False))
    inner = "".join(_inline(workspace, item) for item in part["elements"])
    return "\n".join(f"> {line}" for line in inner.split("\n")) if part["type"] == "rich_text_quote" else inner


def _inline(workspace: state.Workspace, item: Json) -> str:
    match item["type"]:
        case "user":
            return "@" + _name(workspace.users.get(item["user_id"]), item["user_id"])
        case "usergroup":
            group = workspace.groups.get(item["usergroup_id"])
            return f"@{group.handle if group else item['usergroup_id']}"
        case "channel":
            return "#" + _name(workspace.channels.get(item["channel_id"]), item["channel_id"])
        case "broadcast":
            return f"@{item['range']}"
        case "emoji":
            return f":{item['name']}:"
        case "link":
            return str(item.get("text") or item["url"])
        case "date":
            return str(item.get("fallback", item["timestamp"]))
    return str(item.get("text", ""))


def mrkdwn(workspace: state.Workspace, raw: str) -> str:
    """Slack's own markup: control sequences by name, code without its ticks, emphasis without its marks."""
    out, at = [], 0
    for code in FENCE.finditer(raw):
        out.append(_emphasis(workspace, raw[at : code.start()]))
        inner = code[1].strip("\n") if code[1] is not None else code[2]
        out.append(_sequences(workspace, inner))
        at = code.end()
    out.append(_emphasis(workspace, raw[at:]))
    return "".join(out)


def _emphasis(workspace: state.Workspace, raw: str) -> str:
    while (shorter := EMPHASIS.sub(r"\2", raw)) != raw:
        raw = shorter
    return _sequences(workspace, raw)


def _sequences(workspace: state.Workspace, raw: str) -> str:
    return html.unescape(SEQUENCE.sub(lambda match: _sequence(workspace, match[1]), raw))


def _sequence(workspace: state.Workspace, inside: str) -> str:
    target, _, label = inside.partition("|")
    if target.startswith("@"):
        return "@" + _name(workspace.users.get(target[1:]), label or target[1:])
    if target.startswith("#"):
        return "#" + _name(workspace.channels.get(target[1:]), label or target[1:])
    if target.startswith("!subteam^"):
        group = workspace.groups.get(target.removeprefix("!subteam^"))
        return f"@{group.handle}" if group else label or target
    if target.startswith("!date^"):
        return label
    if target.startswith("!"):
        return f"@{target[1:]}"
    return label or target


def _name(found: Any, otherwise: str) -> str:
    return found.name if found is not None else otherwise
