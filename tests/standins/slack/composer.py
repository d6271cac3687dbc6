"""What Slack's editor makes of typed words: rich text, and the `text` that goes with it.

    *bold* _italic_ ~strike~ `code`   formatted at the edges of words, punctuation counted as an edge; nested too
    ```code```                        preformatted
    - item, 1. item, > words          lists and quotes
    @name #name https://… a.example   mentions and links
    :wave:                            emoji

`text` holds the marks again, as Slack sends it. Slash commands and `/me` send `text` alone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.standins.slack import state
from tests.standins.slack.records import Json

STYLES = {"*": "bold", "_": "italic", "~": "strike"}
FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
ITEM = re.compile(r"(?:(?P<bullet>[-•*]) |(?P<number>\d+)\. |(?P<quote>>) ?)(?P<rest>.*)")
INLINE = re.compile(
    r"(?<!\w)`(?P<code>[^`\n]+)`(?!\w)"
    r"|(?<!\w)(?P<mark>[*_~])(?=\S)(?P<styled>(?:(?!(?P=mark)).)+)(?<=\S)(?P=mark)(?!\w)"
    r"|(?<![\w<])(?P<sign>[@#])(?P<name>[\w.-]*\w)"
    r"|(?P<url>https?://[^\s<>|]+)"
    r"|(?<![\w@./-])(?P<domain>[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|example))(?![\w.-])"
    r"|(?<!\w):(?P<emoji>[a-z_]+):(?!\w)"
)


def blocks(workspace: state.Workspace, typed: str) -> list[Json]:
    """One rich text block, as Slack sends it."""
    parts: list[Json] = []
    at = 0
    for fence in FENCE.finditer(typed):
        parts += _lines(workspace, typed[at : fence.start()])
        parts.append({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": fence[1]}], "border": 0})
        at = fence.end()
    parts += _lines(workspace, typed[at:])
    return [{"type": "rich_text", "block_id": workspace.id("b"), "elements": parts}]


def text(workspace: state.Workspace, typed: str) -> str:
    """The message's `text`. Lists get bullets, as in Slack."""
    marked = "\n".join(_bulleted(line) for line in typed.split("\n"))
    parts, at = [], 0
    for found in INLINE.finditer(marked):
        if found["sign"] or found["url"] or found["domain"]:
            parts += [html.escape(marked[at : found.start()], quote=False), _reference(workspace, found)]
            at = found.end()
        elif found["styled"] and re.search(r"[@#:.]", found["styled"]):
            inner = text(workspace, found["styled"])
            parts += [html.escape(marked[at : found.start()], quote=False), f"{found['mark']}{inner}{found['mark']}"]
            at = found.end()
    return "".join([*parts, html.escape(marked[at:], quote=False)])


def _bulleted(line: str) -> str:
    return re.sub(r"^[-*] ", "• ", line)


def _lines(workspace: state.Workspace, typed: str) -> Iterator[Json]:
    """Sections, lists and quotes; lines of one kind together."""
    gathered: list[tuple[str, str]] = []
    for line in typed.split("\n"):
        found = ITEM.fullmatch(line)
        kind = next((name for name in ("bullet", "number", "quote") if found and found[name]), "")
        gathered.append((kind, found["rest"] if found and kind else line))
    at = 0
    while at < len(gathered):
        kind = gathered[at][0]
        end = next((n for n in range(at, len(gathered)) if gathered[n][0] != kind), len(gathered))
        rows = [row for _, row in gathered[at:end]]
        at = end
        if kind in ("bullet", "number"):
            items = [{"type": "rich_text_section", "elements": list(_inline(workspace, row, {}))} for row in rows]
            style = "bullet" if kind == "bullet" else "ordered"
            yield {"type": "rich_text_list", "style": style, "indent": 0, "border": 0, "elements": items}
        elif "".join(rows).strip():
            name = "rich_text_quote" if kind else "rich_text_section"
            yield {"type": name, "elements": list(_inline(workspace, "\n".join(rows), {}))}


def _inline(workspace: state.Workspace, typed: str, style: Mapping[str, bool]) -> Iterator[Json]:
    at = 0
    for found in INLINE.finditer(typed):
        if made := list(_element(workspace, found, style)):
            yield from _plain(typed[at : found.start()], style)
            yield from made
            at = found.end()
    yield from _plain(typed[at:], style)


def _element(workspace: state.Workspace, found: re.Match[str], style: Mapping[str, bool]) -> Iterator[Json]:
    """Nothing if it is only text after all."""
    if found["code"]:
        yield from _plain(found["code"], {**style, "code": True})
    elif found["styled"]:
        yield from _inline(workspace, found["styled"], {**style, STYLES[found["mark"]]: True})
    elif found["sign"]:
        reference = _reference(workspace, found)
        if person := re.fullmatch(r"<@(\w+)>", reference):
            yield _styled({"type": "user", "user_id": person[1]}, style)
        elif channel := re.fullmatch(r"<#(\w+)>", reference):
            yield _styled({"type": "channel", "channel_id": channel[1]}, style)
        elif group := re.match(r"<!subteam\^(\w+)", reference):
            yield _styled({"type": "usergroup", "usergroup_id": group[1]}, style)
        elif reference.startswith("<!"):
            yield _styled({"type": "broadcast", "range": found["name"]}, style)
    elif found["url"]:
        yield _styled({"type": "link", "url": found["url"]}, style)
    elif found["domain"]:
        yield _styled({"type": "link", "url": f"http://{found['domain']}", "text": found["domain"]}, style)
    elif found["emoji"]:
        yield _styled({"type": "emoji", "name": found["emoji"]}, style)


def _plain(words: str, style: Mapping[str, bool]) -> Iterator[Json]:
    if words:
        yield _styled({"type": "text", "text": words}, style)


def _styled(element: Json, style: Mapping[str, bool]) -> Json:
    return element | ({"style": dict(style)} if style else {})


def _reference(workspace: state.Workspace, found: re.Match[str]) -> str:
    """The control sequence of a mention or link; the words themselves if nobody and nothing has that name."""
    if found["url"]:
        return f"<{html.escape(found['url'], quote=False)}>"
    if found["domain"]:
        return f"<http://{found['domain']}|{found['domain']}>"
    sign, word = found["sign"], found["name"]
    pool: dict[str, Any] = workspace.users if sign == "@" else workspace.channels
    for one in pool.values():
        if one.name == word:
            return f"<{sign}{one.id}>"
    for group in workspace.groups.values() if sign == "@" else ():
        if group.handle == word:
            return f"<!subteam^{group.id}|@{word}>"
    return f"<!{word}>" if sign == "@" and word in ("here", "channel", "everyone") else found[0]
