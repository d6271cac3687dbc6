"""A typed line into words, and words back into a line.

People type on phones and paste from chat: “smart” quotes, non-breaking spaces, invisible characters, `&amp;` and dashes
that were two are read as meant. Inside quotes nothing but the quote, the backslash and `&…;` is special, so that
`split(quote(words)) == words` for all words without control characters. What cannot be read raises BadUsage with its
place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from core import errors

MAX_LINE_LENGTH = 4_000
MAX_WORDS = 64
MAX_ABBREVIATED = 60
DOUBLE_QUOTES = '"“”„‟'
SINGLE_QUOTES = "'‘’‚‛"
HTML_ENTITIES = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# Keyboards that mean well turn `--` into one of these at the start of a word.
DASHES = "—–―−‒"
HYPHENS = "‐‑"
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./*?\[\]#-]+")


def split(line: str) -> list[str]:
    """The words of a line. Raises BadUsage: too long, too many, control characters, an open quote, a last backslash."""
    if len(line) > MAX_LINE_LENGTH:
        raise errors.BadUsage(
            f"That line has {len(line):,} characters; at most {MAX_LINE_LENGTH:,} are read.",
            hint="Use a pattern such as web-* or --label instead of many names.",
        )
    line = _unfence(line.strip())
    _refuse_controls(line)
    words: list[str] = []
    at = 0
    while at < len(line):
        character = line[at]
        if character.isspace() or _unseen(character):
            at += 1
        else:
            word, at = _word(line, at)
            words.append(word)
    if len(words) > MAX_WORDS:
        raise errors.BadUsage(
            f"That line has {len(words)} words; at most {MAX_WORDS} are read.",
            hint="Use a pattern such as web-* or --label instead of many names.",
        )
    return words


def quote(words: Iterable[str]) -> str:
    """A line that splits into exactly these words; for buttons and for what the audit keeps."""
    return " ".join(_quoted(word) for word in words)


def abbreviate(word: str) -> str:
    """A word as an answer repeats it: the beginning tells which was meant."""
    return word if len(word) <= MAX_ABBREVIATED else f"{word[: MAX_ABBREVIATED - 1]}…"


def _quoted(word: str) -> str:
    if _BARE.fullmatch(word):
        return word
    return '"' + re.sub(r'[\\"&]', r"\\\g<0>", word) + '"'


def _word(line: str, start: int) -> tuple[str, int]:
    """One word from `start`, and where it ended."""
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
            text, at = _in_quotes(line, at)
            parts.append(text)
        elif character == "\\":
            if at + 1 == len(line):
                raise errors.BadUsage(
                    "The line ends with a backslash; something must follow it.",
                    hint="Remove it, or write \\\\.",
                )
            parts.append(line[at + 1])
            at += 2
        elif character == "&":
            text, at = _entity(line, at)
            parts.append(text)
        else:
            if not _unseen(character):
                parts.append(character)
            at += 1
    return "".join(parts), at


def _leading_dashes(line: str, at: int) -> str:
    """What a dash that starts a word was before a keyboard changed it: `—all` is `--all`, `–a` is `-a`."""
    if line[at] in HYPHENS:
        return "-"
    if line[at] not in DASHES:
        return ""
    following = line[at + 1 : at + 3]
    one_letter = bool(following) and following[0].isalnum() and not following[1:].strip()
    return "-" if one_letter else "--"


def _in_quotes(line: str, start: int) -> tuple[str, int]:
    """The text of a quoted part. A straight quote is closed by its like only; a smart one by any of its family."""
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
            text, at = _entity(line, at)
            parts.append(text)
        else:
            parts.append(character)
            at += 1
    shown = line[start : start + 30] + ("…" if len(line) > start + 30 else "")
    raise errors.BadUsage(
        f"The quote at character {start + 1} is never closed: {shown}",
        hint="Close it, or put a backslash before it if it is part of a name.",
    )


def _entity(line: str, at: int) -> tuple[str, int]:
    for entity, meant in HTML_ENTITIES:
        if line.startswith(entity, at):
            return meant, at + len(entity)
    return "&", at + 1


def _unfence(line: str) -> str:
    """Without the backticks people put around a command in chat."""
    ticks = len(line) - len(line.lstrip("`"))
    if 0 < ticks <= 3 and len(line) > 2 * ticks and line.endswith("`" * ticks):
        inside = line[ticks:-ticks]
        if "`" not in inside:
            return inside.strip()
    return line


def _unseen(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def _refuse_controls(line: str) -> None:
    if line.isprintable():
        return
    if "\n" in line or "\r" in line:
        count = len(line.splitlines())
        raise errors.BadUsage(f"That is {count} lines; give one command at a time.")
    for at, character in enumerate(line):
        category = unicodedata.category(character)
        if category in ("Cc", "Cs") and character != "\t":
            raise errors.BadUsage(
                f"Character {at + 1} of that line is a control character (U+{ord(character):04X}).",
                hint="Type the line instead of pasting it.",
            )
