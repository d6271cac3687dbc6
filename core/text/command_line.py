"""Splits a command line into arguments, and quotes arguments into a command line.

People type on phones and paste from chat. Therefore smart quotes, non-breaking spaces, invisible characters, HTML
entities (`&amp;`) and long dashes that a keyboard made from `--` are accepted. Inside quotes only the quote, the
backslash and `&…;` are special, so `split(quote(words)) == words` for all words without control characters. A line that
cannot be split raises BadUsage with the position of the error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from core import errors

MAX_LINE_LENGTH = 4_000
MAX_WORDS = 128
MAX_ABBREVIATED = 60
DOUBLE_QUOTES = '"“”„‟'
SINGLE_QUOTES = "'‘’‚‛"
HTML_ENTITIES = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# Some keyboards replace `--` at the start of a word with one of these.
DASHES = "—–―−‒"
HYPHENS = "‐‑"
_SHORTEN = "Shorten it. In place of many names, use a pattern such as web-*, or --label."
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./*?\[\]#-]+")


def split_command_line(line: str) -> list[str]:
    """Splits a line into words. Raises BadUsage if it is too long, has too many words, contains control characters, or
    ends inside a quote or after a backslash."""
    if len(line) > MAX_LINE_LENGTH:
        raise errors.BadUsage(
            f"The command has {len(line):,} characters; the maximum is {MAX_LINE_LENGTH:,}.",
            hint=_SHORTEN,
        )
    line = _strip_backticks(line.strip())
    _refuse_control_characters(line)
    words: list[str] = []
    at = 0
    while at < len(line):
        character = line[at]
        if character.isspace() or _is_invisible(character):
            at += 1
        else:
            word, at = _word(line, at)
            words.append(word)
    if len(words) > MAX_WORDS:
        raise errors.BadUsage(
            f"The command has {len(words):,} words; the maximum is {MAX_WORDS}.",
            hint=_SHORTEN,
        )
    return words


def quote(words: Iterable[str]) -> str:
    """Returns a line that `split_command_line` splits into exactly these words; for buttons and the audit trail."""
    return " ".join(_quoted(word) for word in words)


def abbreviate(word: str) -> str:
    """Shortens a word that a reply quotes."""
    return word if len(word) <= MAX_ABBREVIATED else f"{word[: MAX_ABBREVIATED - 1]}…"


def _quoted(word: str) -> str:
    if _BARE.fullmatch(word):
        return word
    return '"' + re.sub(r'[\\"&]', r"\\\g<0>", word) + '"'


def _word(line: str, start: int) -> tuple[str, int]:
    """Reads one word from `start`; returns it and the position after it."""
    parts: list[str] = []
    at = start
    dashes = _leading_dashes(line, start)
    if dashes:
        parts.append(dashes)
        at += 1
    while at < len(line):
        character = line[at]
        if character.isspace():
            break
        if character in DOUBLE_QUOTES or character in SINGLE_QUOTES:
            text, at = _quoted_part(line, at)
            parts.append(text)
        elif character == "\\":
            if at + 1 == len(line):
                raise errors.BadUsage(
                    "The command ends with a backslash, and nothing follows it.",
                    hint="Remove the backslash, or write \\\\.",
                )
            parts.append(line[at + 1])
            at += 2
        elif character == "&":
            text, at = _html_entity(line, at)
            parts.append(text)
        else:
            if not _is_invisible(character):
                parts.append(character)
            at += 1
    return "".join(parts), at


def _leading_dashes(line: str, at: int) -> str:
    """Restores the dashes that a keyboard replaced at the start of a word: `—all` is `--all`, `–a` is `-a`."""
    if line[at] in HYPHENS:
        return "-"
    if line[at] not in DASHES:
        return ""
    following = line[at + 1 : at + 3]
    one_letter = bool(following) and following[0].isalnum() and not following[1:].strip()
    return "-" if one_letter else "--"


def _quoted_part(line: str, start: int) -> tuple[str, int]:
    """Reads a quoted part. The same straight quote closes a straight one; any similar quote closes a smart one."""
    opened = line[start]
    family = opened if opened in "\"'" else DOUBLE_QUOTES if opened in DOUBLE_QUOTES else SINGLE_QUOTES
    escapes = opened in DOUBLE_QUOTES
    parts: list[str] = []
    at = start + 1
    while at < len(line):
        character = line[at]
        if character in family:
            return "".join(parts), at + 1
        if character == "\\" and escapes and at + 1 < len(line) and line[at + 1] in ("\\", "&", *family):
            parts.append(line[at + 1])
            at += 2
        elif character == "&":
            text, at = _html_entity(line, at)
            parts.append(text)
        else:
            parts.append(character)
            at += 1
    shown = line[start : start + 30] + ("…" if len(line) > start + 30 else "")
    raise errors.BadUsage(
        f"The quote at character {start + 1} is not closed: {shown}",
        hint="Close the quote, or write a backslash before it if it is a part of a name.",
    )


def _html_entity(line: str, at: int) -> tuple[str, int]:
    for entity, character in HTML_ENTITIES:
        if line.startswith(entity, at):
            return character, at + len(entity)
    return "&", at + 1


def _strip_backticks(line: str) -> str:
    """Removes the backticks that people put around a command in chat."""
    ticks = len(line) - len(line.lstrip("`"))
    if 0 < ticks <= 3 and len(line) > 2 * ticks and line.endswith("`" * ticks):
        inside = line[ticks:-ticks]
        if "`" not in inside:
            return inside.strip()
    return line


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def _refuse_control_characters(line: str) -> None:
    if line.isprintable():
        return
    if "\n" in line or "\r" in line:
        count = len(line.splitlines())
        raise errors.BadUsage(
            f"A command must be one line, but this one has {count} lines.", hint="Give one command at a time."
        )
    for at, character in enumerate(line):
        category = unicodedata.category(character)
        if category in ("Cc", "Cs") and character != "\t":
            raise errors.BadUsage(
                f"Character {at + 1} of the command is a control character (U+{ord(character):04X}).",
                hint="Remove that character, or type the command instead of pasting it.",
            )
