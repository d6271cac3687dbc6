"""Reads the rich text of a message: the words that a person typed, without their formatting.

People format messages in Slack's editor, which turns a typed `*web*` into a bold word. The message's `text` then has
the asterisks again, and its `blocks` mark the word as bold. So the words are read from the blocks. Lists, quotes and
code become lines without their marks; links become the text that people see.

Sometimes formatting is ambiguous. If only a part of a word is formatted, the person may have typed the marks as a part
of a name or pattern, such as `web-*-*`. If words are struck through, the person may not want them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from core.lazy_dataclass import dataclass

MAX_PIECES = 500  # of one message; a command has at most 64 words
MAX_LENGTH = 20_000  # characters of one message; a command has at most 4,000
MARKS = {"bold": "*", "italic": "_", "strike": "~", "code": "`"}
_PERSON = re.compile(r"[UW][A-Z0-9]+")
_GROUP = re.compile(r"<!subteam\^(\w+)\|@?([^<>|\s]+)>")
_ONE_LINE = frozenset({"rich_text_section", "rich_text_preformatted", "rich_text_quote"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RichTextReadings:
    """Holds the possible readings of one rich text. `plain`: without formatting. `literal`: the same, with the marks
    of formatted parts of words. `kept`: the same as `plain`, without words that are struck through. A mention of a
    person is `<@U123>` in each of them. All three are equal if nothing is doubtful."""

    plain: str
    literal: str
    kept: str


def read_rich_text(blocks: Any, text: str = "") -> RichTextReadings | None:
    """Reads the blocks of a message. `text`: the message's `text`, which has the handles of its user groups; without a
    handle, a group is named by its id.

    Returns None if the blocks are not rich text alone, have an element that cannot be read, or are too long.
    The message's `text` must be used then. Never raises."""
    groups = {match[1]: match[2] for match in _GROUP.finditer(text)}
    try:
        pieces = list(islice((piece for block in blocks for piece in _block(block, groups)), MAX_PIECES + 1))
    except (LookupError, TypeError, AttributeError, _UnreadableError):
        return None
    if not 0 < len(pieces) <= MAX_PIECES:
        return None
    plain = "".join(piece.text for piece in pieces)
    if len(plain) > MAX_LENGTH:
        return None
    spans = list(_spans(pieces, plain))
    marks = [place for span in spans if span.partial for place in ((span.start, span.mark), (span.end, span.mark))]
    struck = [span for span in spans if span.mark == MARKS["strike"]]
    return RichTextReadings(plain=plain, literal=_with_marks(plain, marks), kept=_without(plain, struck))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    text: str
    styles: frozenset[str] = frozenset()
    mention: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """A formatted part of the text, without blanks at its ends. `partial`: it begins or ends inside a word."""

    start: int
    end: int
    mark: str
    partial: bool


class _UnreadableError(Exception):
    pass


_LINE_END = _Piece(text="\n")


def _block(block: Mapping[str, Any], groups: Mapping[str, str]) -> Iterator[_Piece]:
    if block["type"] != "rich_text":
        raise _UnreadableError
    for part in block["elements"]:
        items = part["elements"] if part["type"] == "rich_text_list" else [part]
        for item in items:
            if item["type"] not in _ONE_LINE:
                raise _UnreadableError
            yield from (_inline(element, groups) for element in item["elements"])
            yield _LINE_END


def _inline(element: Mapping[str, Any], groups: Mapping[str, str]) -> _Piece:
    kind = element["type"]
    if kind == "usergroup":
        text = f"group:{groups.get(element['usergroup_id'], element['usergroup_id'])}"
    elif kind in _TEXT_OF:
        text = _TEXT_OF[kind](element)
    else:
        raise _UnreadableError
    if not isinstance(text, str):
        raise _UnreadableError
    styles = frozenset(name for name, on in (element.get("style") or {}).items() if on is True)
    return _Piece(text=text, styles=styles & MARKS.keys(), mention=kind == "user")


def _person(element: Mapping[str, Any]) -> str:
    if not _PERSON.fullmatch(element["user_id"]):
        raise _UnreadableError
    return f"<@{element['user_id']}>"


def _link(element: Mapping[str, Any]) -> str:
    return str(element.get("text") or element["url"].removeprefix("mailto:").removeprefix("tel:"))


def _emoji(element: Mapping[str, Any]) -> str:
    tone = element.get("skin_tone")
    return f":{element['name']}:" + (f":skin-tone-{tone}:" if tone else "")


_TEXT_OF: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "text": lambda element: element["text"],
    "link": _link,
    "user": _person,
    "channel": lambda element: element["channel_id"],
    "team": lambda element: element["team_id"],
    "broadcast": lambda element: f"@{element['range']}",
    "emoji": _emoji,
    "date": lambda element: element.get("fallback") or str(element["timestamp"]),
    "color": lambda element: element["value"],
}


def _spans(pieces: Sequence[_Piece], plain: str) -> Iterator[_Span]:
    """Each part of the text with one kind of formatting, however many pieces Slack has cut it into."""
    beside_mentions = frozenset(edge for mention in _mentions(pieces) for edge in mention)
    for style, mark in MARKS.items():
        at = start = 0
        for piece in [*pieces, _LINE_END]:
            if style not in piece.styles:
                if span := _span(plain, start, at, mark, beside_mentions):
                    yield span
                start = at + len(piece.text)
            at += len(piece.text)


def _span(plain: str, start: int, end: int, mark: str, beside_mentions: frozenset[int]) -> _Span | None:
    text = plain[start:end]
    if not text.strip():
        return None
    start, end = start + len(text) - len(text.lstrip()), end - (len(text) - len(text.rstrip()))
    before, after = plain[:start][-1:], plain[end : end + 1]
    partial = (bool(before.strip()) and start not in beside_mentions) or (
        bool(after.strip()) and end not in beside_mentions
    )
    return _Span(start=start, end=end, mark=mark, partial=partial)


def _mentions(pieces: Sequence[_Piece]) -> Iterator[tuple[int, int]]:
    at = 0
    for piece in pieces:
        if piece.mention:
            yield at, at + len(piece.text)
        at += len(piece.text)


def _with_marks(text: str, marks: Sequence[tuple[int, str]]) -> str:
    for at, mark in sorted(marks, reverse=True):
        text = text[:at] + mark + text[at:]
    return text


def _without(text: str, spans: Sequence[_Span]) -> str:
    for span in sorted(spans, key=lambda one: one.start, reverse=True):
        text = text[: span.start] + text[span.end :]
    return text
