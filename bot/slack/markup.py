"""Escapes text for Slack's mrkdwn, so that Slack shows exactly that text.

Slack reads `<…>` as mentions and links, `* _ ~` and backticks as formatting, `:word:` as an emoji and a leading `>` as
a quote. Its only escapes are `&amp; &lt; &gt;`. Slack interprets nothing in inline code. So a word with any other
character that Slack would interpret becomes inline code. Words between backticks become inline code too. A backtick
inside would end it, so ˋ replaces it. No invisible characters are added, so people copy the exact text. A timestamp
(`core.text.text_timestamps`) becomes a date element, which Slack shows in the time zone of the reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from core.text import sanitize, text_timestamps

MAX_TEXT = 3_000  # bytes of one text object; Block Kit names characters, and some people have seen bytes counted
DATE_FORMAT = "{date_short_pretty} {time_secs}"
NOTHING = "–"  # replaces an empty text, which Slack refuses
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_INTERPRETED = re.compile(
    r"[*~`]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # not in my_app: Slack formats only at the edge of a word
    r"|:(?:[+'-]|\d)*+[^\W\d][\w+'-]*+:|:\d{3,}:|:[+-]1:"  # :x:, :100: and :+1:, not the minutes of 03:00:12
    r"|@(?:channel|here|everyone|group)\b"
    r"|^>"
)
# A command or a setting that a sentence sets apart, such as `ps -a`, with the punctuation around it; or one word.
_WORD = re.compile(r"(?P<before>\(?)`(?P<code>[^`\s](?:[^`]{0,300}[^`\s])?)`(?P<after>[.,;:?!)]{0,3})(?!\S)|\S+")
_MENTIONABLE = re.compile(r"[SUW][A-Z0-9]{2,30}")
_LONGEST_WORD = 2_500  # bytes
_LONGEST_WITH_DATE = 200  # characters
_SLICE = 400  # characters of such a word; escaped, they are at most five times as many bytes


def escape(text: str) -> str:
    """Returns the text without invisible or control characters and with `& < >` as entities, so that it has no mention
    and no link. Slack still interprets `* _ ~` and backticks; see `literal`."""
    return sanitize.multiline(text).translate(_ENTITIES)


def code(text: str) -> str:
    """One line as inline code."""
    return _code(sanitize.single_line(text))


def literal(text: str) -> str:
    """Mrkdwn that Slack shows as exactly this text, with words between backticks as inline code. Line breaks stay;
    blanks at the end of a line do not."""
    return "".join(gap + marked for gap, marked in _words(sanitize.multiline(text)))


def bold(text: str) -> str:
    """One line in bold, or not in bold if it has something that Slack would interpret."""
    marked = literal(sanitize.single_line(text)).strip()
    return f"*{marked}*" if marked and "`" not in marked else marked


def mentions(ids: Iterable[str]) -> str:
    """Mrkdwn that notifies these user groups (`S…`) and people (`U…`, `W…`). Anything else is left out."""
    found = [word for word in ids if _MENTIONABLE.fullmatch(word)]
    return " ".join(f"<!subteam^{word}>" if word.startswith("S") else f"<@{word}>" for word in found)


def pieces(text: str, *, budget: int, most: int = MAX_TEXT, lead: str = "") -> tuple[list[str], bool]:
    """The text as `literal`, in pieces of at most `most` bytes, cut between lines or words; and whether the pieces
    hold all of it. Together they take at most `budget` bytes of JSON. The first starts with `lead`, unescaped."""
    done: list[str] = []
    current = lead
    left = budget - size(lead)
    complete = True
    # The limit of core.text.sanitize is raised, so that only the budget cuts a line.
    for gap, marked in _words(sanitize.multiline(text, max(budget, sanitize.MAX_LENGTH))):
        cost = size(gap) + size(marked)
        if cost > left:
            complete = False
            break
        left -= cost
        if _bytes(current) + _bytes(gap) + _bytes(marked) > most:
            done.append(current)
            current = marked
        else:
            current += gap + marked
    done.append(current)
    return [one for one in (part.strip() for part in done) if one and one != lead.strip()], complete


def size(text: str) -> int:
    """The number of bytes of the text in JSON, without the quotes."""
    return _bytes(json.dumps(text, ensure_ascii=False)) - 2


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yields each word, escaped, with the gap in front of it."""
    for number, line in enumerate(text.split("\n")):
        gap = "\n" if number else ""
        at = 0
        for match in _WORD.finditer(line):
            gap += line[at : match.start()]
            at = match.end()
            if match["code"]:
                yield gap, f"{match['before']}{_code(match['code'])}{match['after']}"
            else:
                yield from _marked(gap, match[0])
            gap = ""
        if gap:
            yield gap, ""


def date(at: datetime) -> str:
    """Mrkdwn of a point in time in the reader's time zone. Clients that cannot show it show it in UTC."""
    return f"<!date^{int(at.timestamp())}^{DATE_FORMAT}|{text_timestamps.format_utc(at)}>"


def _marked(gap: str, word: str) -> Iterator[tuple[str, str]]:
    if len(word) <= _LONGEST_WITH_DATE and text_timestamps.contains_timestamp(word):
        parts = list(text_timestamps.split_timestamps(word))
        if not any(isinstance(part, str) and _INTERPRETED.search(part) for part in parts):
            yield gap, "".join(_entities(part) if isinstance(part, str) else date(part) for part in parts)
            return
    mark = _code if _INTERPRETED.search(word) else _entities
    marked = mark(word)
    if _bytes(marked) <= _LONGEST_WORD:
        yield gap, marked
        return
    # Inline code needs a space on each side.
    between = " " if mark is _code else ""
    for at in range(0, len(word), _SLICE):
        yield (between if at else gap), mark(word[at : at + _SLICE])


def _code(line: str) -> str:
    inside = line.replace("`", "ˋ").replace("\t", " ").strip()
    return f"`{_entities(inside or NOTHING)}`"


def _entities(text: str) -> str:
    return text.translate(_ENTITIES)
