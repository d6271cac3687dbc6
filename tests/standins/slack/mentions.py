"""Who a message would wake: the check that text written by strangers (names, logs) never notifies anybody.

    fires     mentions that notify for certain
    dangers   plain `@channel` and the like where Slack may turn them into mentions by itself
    links     hand-made `<url|label>` links, which a hostile name could use to pose as something else

Read from everything of a message that Slack renders, the fallback text too. Text inside code ticks counts: nobody
should rely on it being inert.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.standins.slack.records import Json, Message

CONTROL = re.compile(r"<(!(?:channel|here|everyone)|!subteam\^\w+|@[UW]\w+)(?:\|[^<>]*)?>")
LINK = re.compile(r"<((?:https?|mailto|tel|ftp|slack):[^<>|\s]+)(?:\|[^<>]*)?>")
WORD = re.compile(r"(?<!\w)@(channel|here|everyone)\b")
NAME = re.compile(r"(?<![\w<])@([a-z0-9][\w.-]*)")


def fires(message: Message) -> list[str]:
    """Each mention that would notify, as `@channel`, `U0ADA` or `S0ONCALL`."""
    found: list[str] = []
    for text, _ in texts(message):
        found += [_short(match[1]) for match in CONTROL.finditer(text)]
        if message.loud:
            found += [f"@{match[1]}" for match in NAME.finditer(text)]
    for part in _walk([*message.blocks, *message.attachments]):
        match part.get("type"):
            case "user":
                found.append(str(part.get("user_id")))
            case "usergroup":
                found.append(str(part.get("usergroup_id")))
            case "broadcast":
                found.append(f"@{part.get('range')}")
    return found


def dangers(message: Message) -> list[str]:
    """Plain words Slack may make into mentions: where `verbatim` is not set, or under parse=full and link_names."""
    found = ["parse=full or link_names"] if message.loud else []
    for text, verbatim in texts(message):
        if not verbatim:
            found += [f"@{match[1]}" for match in WORD.finditer(text)]
    return found


def links(message: Message) -> list[str]:
    found = [match[1] for text, _ in texts(message) for match in LINK.finditer(text)]
    parts = _walk([*message.blocks, *message.attachments])
    return found + [str(part.get("url")) for part in parts if part.get("type") == "link"]


def texts(message: Message) -> Iterator[tuple[str, bool]]:
    """Every text that Slack reads as markup, and whether it is `verbatim`."""
    yield message.text, True  # its `parse` is none by default
    for part in _walk([*message.blocks, *message.attachments]):
        if part.get("type") == "mrkdwn":
            yield str(part.get("text", "")), part.get("verbatim") is True
        elif part.get("type") == "markdown":
            yield str(part.get("text", "")), False
    for attached in message.attachments:
        for key in ("pretext", "title", "text", "fallback", "footer"):
            if isinstance(attached.get(key), str):
                yield attached[key], True
        for field in attached.get("fields") or ():
            yield str(field.get("value", "")), True


def _walk(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


def _short(target: str) -> str:
    if target.startswith("!subteam^"):
        return target.removeprefix("!subteam^")
    return f"@{target[1:]}" if target.startswith("!") else target[1:]
