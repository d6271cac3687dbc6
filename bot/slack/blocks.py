"""One block of a reply as blocks of Slack, within a given room: sentences and verbatim lines; tables are next door.

`room` is a weight: characters of the blocks' JSON, as Slack seems to count a message (its limit near 13,000 holds for
texts and their containers together). What does not fit is told in a note and lies whole in the message's paper. A
part that could show nothing is its note alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import slackblocks

from bot.slack import markup
from core.model import replies
from core.text import sanitize

FRAME = 110  # weight of a section or context block without its text
PREFORMATTED = 150  # the same of a preformatted block
NOTE = 330  # weight of a note, frame included
VERBATIM_ROOM = 8_000  # of lines in a message; more is for a file
LONGEST_TITLE = 100
TAIL = 30  # lines shown of those that are too many …
TAIL_WIDTH = 200  # … and the characters of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`whole`: nothing is left out or cut. `native`: holds a table block, of which a message may have one."""

    blocks: Sequence[slackblocks.Block]
    whole: bool = True
    native: bool = False


def text(block: replies.Text, *, room: int, paper: str, sign: str = "") -> Part:
    """A sentence or paragraphs as sections; `sign` stands before it."""
    lead = f"{sign} " if sign else ""
    said, whole = _sections(block.text, room, lead)
    if whole:
        return Part(blocks=said)
    said, _ = _sections(block.text, room - NOTE, lead)
    told = f"The whole text is in the file {paper}."
    return Part(blocks=[*said, note(told if not said else f"This is its beginning. {told}")], whole=False)


def lines(block: replies.Lines, *, room: int, paper: str) -> Part:
    """Verbatim lines, monospace. Of too many the last are shown: in a log they are what one wants to see."""
    if not block.lines:
        return Part(blocks=heading(block.title))
    title = titled(block.title)
    room -= PREFORMATTED + (FRAME + markup.size(title) if title else 0)
    shown = [sanitize.single_line(line, VERBATIM_ROOM) for line in block.lines]
    if _height(shown) <= min(room, VERBATIM_ROOM):
        return Part(blocks=[preformatted(shown, title)])
    tail = [sanitize.single_line(line, TAIL_WIDTH) for line in block.lines[-TAIL:]]
    while tail and _height(tail) > min(room - NOTE, VERBATIM_ROOM):
        tail.pop(0)
    if not tail:
        return Part(blocks=[note(f"{count(len(shown), 'line')} in the file {paper}.")], whole=False)
    told = f"The last {len(tail)} of {count(len(shown), 'line')}; all are in the file {paper}."
    return Part(blocks=[preformatted(tail, title), note(told)], whole=False)


def preformatted(shown: Sequence[str], title: str = "") -> slackblocks.RichTextBlock:
    """Monospace lines, nothing in them read as markup: rich text takes its text as it is."""
    elements: list[slackblocks.RichTextObject] = []
    if title:
        elements.append(slackblocks.RichTextSection([slackblocks.RichText(title, bold=True)]))
    # Slack refuses a text without characters.
    elements.append(slackblocks.RichTextCodeBlock([slackblocks.RichText("\n".join(shown) or " ")]))
    return slackblocks.RichTextBlock(elements)


def titled(title: str) -> str:
    """A title as one short line."""
    return sanitize.single_line(title, LONGEST_TITLE).replace("\t", " ").strip()


def heading(title: str) -> list[slackblocks.Block]:
    """A title as a section of its own; none where there is none."""
    marked = markup.bold(titled(title))
    return [section(marked)] if marked else []


def section(mrkdwn: str) -> slackblocks.SectionBlock:
    return slackblocks.SectionBlock(text=verbatim(mrkdwn))


def note(mrkdwn: str) -> slackblocks.ContextBlock:
    """A quiet line of our own words."""
    return slackblocks.ContextBlock(elements=[verbatim(mrkdwn)])


def verbatim(mrkdwn: str) -> slackblocks.Markdown:
    """Mrkdwn in which Slack makes no links or mentions of what only looks like one."""
    return slackblocks.Markdown(mrkdwn, verbatim=True)


def resolved(blocks: Sequence[slackblocks.Block]) -> list[dict[str, Any]]:
    """The blocks as Slack takes them, checked as one message. Plain texts show `:word:` as it is, which the library
    cannot say."""
    if not blocks:
        return []
    found: list[dict[str, Any]] = slackblocks.MessageResponse(blocks=list(blocks)).to_dict()["blocks"]
    _without_emoji(found)
    return found


def weight(blocks: Sequence[slackblocks.Block]) -> int:
    """Characters of the blocks' JSON. Of a table's rows only their texts count: Slack gives tables a limit of their own
    for these, far above what is allowed here."""
    total = 0
    for block in resolved(blocks):
        rows = block.pop("rows", ())
        total += len(json.dumps(block, ensure_ascii=False)) + sum(len(cell["text"]) for row in rows for cell in row)
    return total


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _sections(said: str, room: int, lead: str) -> tuple[list[slackblocks.Block], bool]:
    frames = FRAME
    while True:
        found, whole = markup.pieces(said, room=room - frames, lead=lead)
        needed = FRAME * max(1, len(found))
        if needed <= frames:
            return [section(piece) for piece in found], whole
        frames = needed


def _height(shown: Sequence[str]) -> int:
    return sum(markup.size(line) + 2 for line in shown)


def _without_emoji(value: Any) -> None:
    if isinstance(value, dict):
        if value.get("type") == "plain_text":
            value["emoji"] = False
        for inner in value.values():
            _without_emoji(inner)
    elif isinstance(value, list):
        for inner in value:
            _without_emoji(inner)
