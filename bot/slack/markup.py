"""Text written by strangers as mrkdwn that says exactly that text.

Slack reads `<…>` as mentions and links, `* _ ~` and backticks as formatting, `:word:` as an emoji and a leading `>` as
a quote, and knows no escape but `&amp; &lt; &gt;`. So these three are written as such, and a word with any other sign
that Slack could act on is shown as inline code, where nothing is acted on. No invisible characters are put in: what
people copy is what there is. A backtick inside code would end it; ˋ is shown in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from core.text import sanitize

MOST = 3_000  # characters of one text object (Block Kit)
NOTHING = "–"  # shown where Slack wants some text and there is none
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_ACTED_ON = re.compile(
    r"[*~`]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # not the one in my_app: Slack formats at the edge of a word only
    r"|:[\w+'-]*[^\W\d][\w+'-]*:|:\d{3,}:"  # :x: and :100:, not the minutes of 03:00:12
    r"|@(?:channel|here|everyone|group)\b"
    r"|^>"
)
_LONGEST_WORD = 2_500
_SLICE = 400  # characters of such a word; marked up at most five times as many


def escape(text: str) -> str:
    """The text without invisible or control characters and with `& < >` written as entities: no mention, no link. What
    `* _ ~` and backticks do is left; see `literal`."""
    return sanitize.multiline(text).translate(_ENTITIES)


def code(text: str) -> str:
    """One line as inline code."""
    return _code(sanitize.single_line(text))


def literal(text: str) -> str:
    """Mrkdwn that is read as this text, whatever is in it. Lines stay lines, without blanks at their ends."""
    return "".join(gap + marked for gap, marked in _words(sanitize.multiline(text)))


def bold(text: str) -> str:
    """One line in bold; as it is where it holds something Slack could act on."""
    marked = literal(sanitize.single_line(text)).strip()
    return f"*{marked}*" if marked and "`" not in marked else marked


def pieces(text: str, *, room: int, most: int = MOST, lead: str = "") -> tuple[list[str], bool]:
    """The text as `literal` in pieces of at most `most` characters, cut between lines or words; and whether all of it
    is in them. Together they take at most `room` characters of JSON. `lead` opens the first, as it is."""
    done: list[str] = []
    current = lead
    left = room - size(lead)
    whole = True
    # A line that core.text.sanitize would cut is longer than any room.
    for gap, marked in _words(sanitize.multiline(text, max(room, sanitize.MAX_LENGTH))):
        cost = size(gap) + size(marked)
        if cost > left:
            whole = False
            break
        left -= cost
        if len(current) + len(gap) + len(marked) > most:
            done.append(current)
            current = marked
        else:
            current += gap + marked
    done.append(current)
    return [one for one in (part.strip() for part in done) if one and one != lead.strip()], whole


def size(text: str) -> int:
    """Characters the text takes in JSON, without its quotes."""
    return len(json.dumps(text, ensure_ascii=False)) - 2


def _words(text: str) -> Iterator[tuple[str, str]]:
    """What stands before each word, and the word marked up."""
    for number, line in enumerate(text.split("\n")):
        gap = "\n" if number else ""
        at = 0
        for match in re.finditer(r"\S+", line):
            gap += line[at : match.start()]
            at = match.end()
            yield from _marked(gap, match[0])
            gap = ""
        if gap:
            yield gap, ""


def _marked(gap: str, word: str) -> Iterator[tuple[str, str]]:
    mark = _code if _ACTED_ON.search(word) else _entities
    marked = mark(word)
    if len(marked) <= _LONGEST_WORD:
        yield gap, marked
        return
    # Code needs a space on either side to be read as code.
    between = " " if mark is _code else ""
    for at in range(0, len(word), _SLICE):
        yield (between if at else gap), mark(word[at : at + _SLICE])


def _code(line: str) -> str:
    inside = line.replace("`", "ˋ").replace("\t", " ").strip()
    return f"`{_entities(inside or NOTHING)}`"


def _entities(text: str) -> str:
    return text.translate(_ENTITIES)
