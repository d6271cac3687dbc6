"""Extracts the command line from the text of a Slack message or slash command.

Slack sends `& < >` as entities and wraps what it recognises in `<…>`; people put commands in backticks, because they
look like code. This module removes all of that and nothing else: `bot.parsing` handles quotes, dashes, invisible
characters and `/deck` between words. The line breaks of a message stay, and the parser refuses a message of several
lines, because its first line alone is not what the person meant.

Each `<…>` is replaced. A person becomes `<@U123>`, which the caller looks up. A user group becomes `group:handle`. A
channel becomes its id. A link, an address or a date becomes the text that people see.
"""

from __future__ import annotations

import re

from core.text import command_line

_MARKUP = re.compile(r"<([^<>\s][^<>\n]*)>")
_PERSON = re.compile(r"@([UW][A-Z0-9]+)")
_SPACES = re.compile(r"[^\S\n]")
_ENTITY = re.compile("|".join(entity for entity, _ in command_line.HTML_ENTITIES))
_CHARACTERS = dict(command_line.HTML_ENTITIES)
_ADDRESS = re.compile(r"\A(?:/deck(?:\s+|\Z))+")
_BACKTICKED = re.compile(r"(?<!\S)(`+)([^`\n]+)\1(?!\S)")
_QUOTES = frozenset(command_line.DOUBLE_QUOTES + command_line.SINGLE_QUOTES)


def extract_line(text: str, bot_user: str) -> str:
    """The command line in a text. Empty if the text has only the bot's name (`bot_user`: the bot's user id, which may
    lead the text). Never raises."""
    text = _without_bot_name(_SPACES.sub(" ", text).strip(), bot_user)
    text = _MARKUP.sub(lambda match: _visible(match[1]), _without_backticks(text))
    text = _ENTITY.sub(lambda match: _CHARACTERS[match[0]], text)
    lines = [one.strip() for one in text.split("\n")]
    return _ADDRESS.sub("", "\n".join(one for one in lines if one))


def _without_bot_name(text: str, bot_user: str) -> str:
    if not bot_user:
        return text
    return re.sub(rf"^(?:<@{re.escape(bot_user)}(?:\|[^<>\n]*)?>[\s:,]*)+", "", text)


def _without_backticks(text: str) -> str:
    """Removes a code fence around the text, or backticks around single words. In a text with quotes, backticks may be
    part of a name and stay."""
    if text.startswith("```") and text.endswith("```") and len(text) > 6 and "```" not in text[3:-3]:
        return text[3:-3].strip()
    return text if _QUOTES & set(text) else _BACKTICKED.sub(r"\2", text)


def _visible(inside: str) -> str:
    target, bar, label = inside.partition("|")
    if person := _PERSON.fullmatch(target):
        return f"<@{person[1]}>"
    if target.startswith("!subteam^"):
        return f"group:{label.removeprefix('@') or target.removeprefix('!subteam^')}"
    if target.startswith("#"):
        return target[1:]
    if target.startswith("!"):
        return label if bar else f"@{target[1:]}"
    if bar and label:
        return label
    return target.removeprefix("mailto:").removeprefix("tel:")
