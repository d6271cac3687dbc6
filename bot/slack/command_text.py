"""Extracts the command line from a Slack message or slash command.

A message has rich text, which shows the formatting. A slash command has only `text`: Slack sends `& < >` as entities
and wraps links and mentions in `<…>`. People put commands in backticks, because they look like code. This module
removes all of that, and mentions of the bot, and nothing else. `bot.parsing` handles quotes, dashes, invisible
characters, and a `/deck` at the beginning of the line. The line breaks of a message stay, and the parser refuses a
message of several lines, because the first line alone may not be what the person meant.

Each `<…>` is replaced. A person becomes `<@U123>`, which the caller looks up. A user group becomes `group:handle`. A
channel becomes its id. A link, an address or a date becomes the text that people see.

Without rich text, `*web*` can be a pattern or a bold word. Such a text has several readings.
"""

from __future__ import annotations

import re

from bot.slack.rich_text_reader import RichTextReadings
from core.lazy_dataclass import dataclass
from core.text import command_line

_MARKUP = re.compile(r"<([^<>\s][^<>\n]*)>")
_PERSON = re.compile(r"@([UW][A-Z0-9]+)")
_SPACES = re.compile(r"[^\S\n]")
_ENTITY = re.compile("|".join(entity for entity, _ in command_line.HTML_ENTITIES))
_CHARACTERS = dict(command_line.HTML_ENTITIES)
_ADDRESS = re.compile(r"\A(?:/deck(?:\s+|\Z))+")
_BACKTICKED = re.compile(r"(?<!\S)(`+)([^`\n]+)\1(?!\S)")
_CODE = re.compile(r"(```[^`]+```|`[^`\n]+`)")
# A mark, perhaps twice, begins a formatted part after a blank, a quote or a bracket, and ends one before a blank, with
# punctuation between.
_FORMATTED = (
    r"(?<![^\s\"'“”‘’(\[{{>])((?P<mark>[{marks}])(?P=mark)?)(?=\S)(?P<inside>(?:(?!(?P=mark))[^\n])+)(?<=\S)\1"
    r"(?=[\"'“”‘’)\]}}.,;:!?]*(?:\s|\Z))"
)
_STRUCK, _EMPHASIS = (re.compile(_FORMATTED.format(marks=marks)) for marks in ("~", "*_~"))
MAX_NESTING = 4  # formats around one word
_QUOTES = frozenset(command_line.DOUBLE_QUOTES + command_line.SINGLE_QUOTES)


def find_possible_commands(text: str, rich_text: RichTextReadings | None, bot: BotName) -> tuple[str, ...]:
    """Returns the command lines that a message may mean, the likeliest first: one if nothing is doubtful, at most
    three. A line is empty if the message has only the bot's name. Never raises."""
    if rich_text is not None:
        # Hardly anybody formats a part of a word; the marks were typed.
        lines = [_finish(one, bot) for one in (rich_text.literal, rich_text.plain, rich_text.kept)]
    else:
        kept = _outside_code(_STRUCK, "", text)
        lines = [_line(one, bot) for one in (text, _unformatted(text), _unformatted(kept))]
    return tuple(dict.fromkeys(lines))


def is_struck_through(text: str, rich_text: RichTextReadings | None) -> bool:
    """Whether a part of the message is struck through, so that it may not be wanted."""
    if rich_text is not None:
        return rich_text.kept != rich_text.plain
    return _outside_code(_STRUCK, "", text) != text


@dataclass(frozen=True, slots=True, kw_only=True)
class BotName:
    """How people address the bot: the id of its user, for mentions, and its name, for a typed `@name`. Each may be
    empty if it is not known."""

    user: str
    name: str = ""


def _line(text: str, bot: BotName) -> str:
    """The command line in a text with Slack's markup."""
    text = _without_bot_mentions(_SPACES.sub(" ", text).strip(), bot)
    text = _MARKUP.sub(lambda match: _visible(match[1]), _without_backticks(text))
    return _finish(_ENTITY.sub(lambda match: _CHARACTERS[match[0]], text), bot)


def _finish(text: str, bot: BotName) -> str:
    """The command line in a text without markup."""
    text = _without_bot_name(_without_bot_mentions(_SPACES.sub(" ", text).strip(), bot), bot)
    lines = [one.strip() for one in text.split("\n")]
    return _ADDRESS.sub("", "\n".join(one for one in lines if one))


def _without_bot_mentions(text: str, bot: BotName) -> str:
    """Removes the mentions of the bot that stand alone, wherever they are, and one that the line begins with."""
    if not bot.user:
        return text
    mention = rf"<@{re.escape(bot.user)}(?:\|[^<>\n]*)?>"
    text = re.sub(rf"\A(?:{mention}[\s:,]*)+", "", text)
    return re.sub(rf"(?<!\S)(?:{mention}(?:[\s:,]+|(?=<@)|\Z|[.!?]+\s*\Z))+", "", text).strip()


def _without_bot_name(text: str, bot: BotName) -> str:
    """Removes each typed `@name` of the bot that stands alone, wherever it is."""
    if not bot.name:
        return text
    name = rf"@{re.escape(bot.name)}"
    return re.sub(rf"(?<!\S){name}(?:[\s:,]+|[.!?]*\s*\Z)", "", text, flags=re.IGNORECASE).strip()


def _unformatted(text: str) -> str:
    for _ in range(MAX_NESTING):
        text = _outside_code(_EMPHASIS, r"\g<inside>", text)
    return text


def _outside_code(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """The text with each match replaced, except in backticks."""
    parts = _CODE.split(text)
    return "".join(part if at % 2 else pattern.sub(replacement, part) for at, part in enumerate(parts))


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
