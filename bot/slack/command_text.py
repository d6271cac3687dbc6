"""What Slack delivers as text becomes a command line; the grammar reads on from there.

Slack sends `& < >` as entities and wraps what it recognises in `<…>`; people put commands in backticks, because they
look like code. All of that is undone here, never more: quotes, dashes, invisible characters and `/deck` between words
are the grammar's. A message of several lines stays several lines, which the grammar refuses with its sentence: doing
the first and dropping the rest would be doing half of what was said.

What `<…>` becomes: a person the token `<@U123>`, for the caller to resolve; a user group `group:handle`; a channel its
id; a link, address or date what people see of it, because what is seen is what is meant.
"""

from __future__ import annotations

import re

from core.text import command_line

_MARKUP = re.compile(r"<([^<>\s][^<>\n]*)>")
_PERSON = re.compile(r"@([UW][A-Z0-9]+)")
_SPACES = re.compile(r"[^\S\n]")
_ENTITY = re.compile("|".join(entity for entity, _ in command_line.HTML_ENTITIES))
_MEANT = dict(command_line.HTML_ENTITIES)
_ADDRESS = re.compile(r"\A(?:/deck(?:\s+|\Z))+")
_TICKED = re.compile(r"(?<!\S)(`+)([^`\n]+)\1(?!\S)")
_QUOTES = frozenset(command_line.DOUBLE_QUOTES + command_line.SINGLE_QUOTES)


def line(text: str, bot_user: str) -> str:
    """The command line in a message's or slash command's text; empty where nothing is said but the bot's name
    (`bot_user`: its user id, which may lead the text). Never raises."""
    said = _without_name(_SPACES.sub(" ", text).strip(), bot_user)
    said = _ENTITY.sub(lambda match: _MEANT[match[0]], _MARKUP.sub(lambda match: _seen(match[1]), _unticked(said)))
    lines = [one.strip() for one in said.split("\n")]
    return _ADDRESS.sub("", "\n".join(one for one in lines if one))


def _without_name(said: str, bot_user: str) -> str:
    if not bot_user:
        return said
    return re.sub(rf"^(?:<@{re.escape(bot_user)}(?:\|[^<>\n]*)?>[\s:,]*)+", "", said)


def _unticked(said: str) -> str:
    """Without a code fence around it, or backticks around single words; inside quotes backticks may be meant."""
    if said.startswith("```") and said.endswith("```") and len(said) > 6 and "```" not in said[3:-3]:
        return said[3:-3].strip()
    return said if _QUOTES & set(said) else _TICKED.sub(r"\2", said)


def _seen(inside: str) -> str:
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
