"""Renders one block of a reply (sentences or verbatim lines) as Slack blocks; `bot.slack.tables` renders tables.

Each function gets a `budget`: the maximum number of bytes (UTF-8) of the JSON of its blocks. Slack limits a message to
about 13,000 characters, and the JSON around the texts seems to be counted too. At least in some places Slack counts
bytes, and a Japanese character takes three. If a block does not fit, it is cut, and a note names the attached file that
contains the complete text. If no part of the block fits, only the note is rendered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import slackblocks

from bot.slack import dates, markup
from core.lazy_dataclass import dataclass
from core.model import replies
from core.text import sanitize

SECTION_WEIGHT = 110  # of a section or context block without its text
PREFORMATTED_WEIGHT = 150  # of a preformatted block without its text
NOTE_WEIGHT = 330  # of a note with its text
MAX_VERBATIM_WEIGHT = 8_000  # of the verbatim lines in a message; more goes into a file
MAX_TITLE = 100  # characters
TAIL_LINES = 30  # shown if there are too many lines
TAIL_LINE_WIDTH = 200  # characters
BLOCK_ID = "deck"  # block ids are deck-0, deck-1, …


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedBlock:
    """`complete`: nothing is left out or cut. `has_table`: Slack draws a table, and a message has only one of them."""

    blocks: Sequence[slackblocks.Block]
    complete: bool = True
    has_table: bool = False


def text(block: replies.Text, *, budget: int, file_name: str, sign: str = "") -> RenderedBlock:
    """A sentence or paragraphs as sections, with `sign` in front."""
    lead = f"{sign} " if sign else ""
    sections, complete = _sections(block.text, budget, lead)
    if complete:
        return RenderedBlock(blocks=sections)
    sections, _ = _sections(block.text, budget - NOTE_WEIGHT, lead)
    notice = f"The complete text is in the file {file_name}."
    return RenderedBlock(
        blocks=[*sections, note(f"This is the beginning of the text. {notice}" if sections else notice)], complete=False
    )


def lines(block: replies.Lines, *, budget: int, file_name: str) -> RenderedBlock:
    """Verbatim lines in monospace. If there are too many, only the last are shown, as the end of a log matters most."""
    if not block.lines:
        return RenderedBlock(blocks=heading(block.title))
    title = titled(block.title)
    budget -= PREFORMATTED_WEIGHT + (SECTION_WEIGHT + markup.size(title) if title else 0)
    if len(block.lines) <= MAX_VERBATIM_WEIGHT // 2:  # each line takes at least two characters
        shown = [sanitize.single_line(line, MAX_VERBATIM_WEIGHT) for line in block.lines]
        if _height(shown) <= min(budget, MAX_VERBATIM_WEIGHT):
            return RenderedBlock(blocks=[preformatted(shown, title)])
    tail = [sanitize.single_line(line, TAIL_LINE_WIDTH) for line in block.lines[-TAIL_LINES:]]
    while tail and _height(tail) > min(budget - NOTE_WEIGHT, MAX_VERBATIM_WEIGHT):
        tail.pop(0)
    if not tail:
        return RenderedBlock(
            blocks=[note(f"{plural(len(block.lines), 'line')} in the file {file_name}.")], complete=False
        )
    notice = f"The last {len(tail)} of {plural(len(block.lines), 'line')}; all are in the file {file_name}."
    return RenderedBlock(blocks=[preformatted(tail, title), note(notice)], complete=False)


def preformatted(shown: Sequence[str], title: str = "") -> slackblocks.RichTextBlock:
    """Monospace lines. Slack reads no markup in rich text."""
    elements: list[slackblocks.RichTextObject] = []
    if title:
        elements.append(slackblocks.RichTextSection([slackblocks.RichText(title, bold=True)]))
    # Slack refuses an empty text.
    elements.append(slackblocks.RichTextCodeBlock([slackblocks.RichText("\n".join(shown) or " ")]))
    return slackblocks.RichTextBlock(elements)


def titled(title: str) -> str:
    """A title as one short line."""
    return sanitize.single_line(title, MAX_TITLE).replace("\t", " ").strip()


def heading(title: str) -> list[slackblocks.Block]:
    """The title as a section; empty if there is no title."""
    marked = markup.bold(titled(title))
    return [section(marked)] if marked else []


def section(mrkdwn: str) -> slackblocks.SectionBlock:
    return slackblocks.SectionBlock(text=verbatim(mrkdwn))


def note(mrkdwn: str) -> slackblocks.ContextBlock:
    """A line of small grey text."""
    return slackblocks.ContextBlock(elements=[verbatim(mrkdwn)])


def verbatim(mrkdwn: str) -> slackblocks.Markdown:
    """Mrkdwn in which Slack does not turn plain text into links or mentions."""
    return slackblocks.Markdown(mrkdwn, verbatim=True)


def resolved(blocks: Sequence[slackblocks.Block]) -> list[dict[str, Any]]:
    """The blocks as JSON objects for Slack, checked as one message. Plain texts get `emoji: false`, which the library
    cannot set."""
    if not blocks:
        return []
    found: list[dict[str, Any]] = slackblocks.MessageResponse(blocks=list(blocks)).to_dict()["blocks"]
    _without_emoji(found)
    return found


def weight(blocks: Sequence[slackblocks.Block], *, cells: bool = True) -> int:
    """The number of bytes of the blocks' JSON. Of a table's rows only the texts count, and without `cells` not even
    they: a table of the longest format has a limit of its own, which is above that of the whole message."""
    total = 0
    for block in resolved(blocks):
        rows = block.pop("rows", ())
        total += text_size(json.dumps(block, ensure_ascii=False))
        if cells:
            total += sum(cell_weight(cell) for row in rows for cell in row)
    return total


def text_size(text: str) -> int:
    """The number of bytes of the text in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def cell_weight(cell: Mapping[str, Any]) -> int:
    """What a cell of a table counts for: the bytes of its texts, and a fixed number for each date."""
    if "text" in cell:
        return text_size(cell["text"])
    if "element" in cell:
        return text_size(cell["element"]["text"]["text"]) + cell_weight(cell["fallback"])
    parts = [part for section in cell["elements"] for part in section["elements"]]
    return sum(dates.WEIGHT if part["type"] == "date" else text_size(part["text"]) for part in parts)


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _sections(text: str, budget: int, lead: str) -> tuple[list[slackblocks.Block], bool]:
    frames = SECTION_WEIGHT
    while True:
        found, complete = markup.pieces(text, budget=budget - frames, lead=lead)
        needed = SECTION_WEIGHT * max(1, len(found))
        if needed <= frames:
            return [section(piece) for piece in found], complete
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
