"""Renders a reply as one Slack message. The same reply always gives the same message.

Secrets in a reply are already masked. This module escapes the text and fits the message into Slack's limits. These are
50 blocks, less than 12,000 bytes of blocks in all, and less than 4,000 bytes of text for notifications (the limit of an
edit). Small blocks get all the space they need; the others share the rest. A note marks what is cut or left out, and
one text file holds the complete blocks. The message shows first who gave which command, then the blocks, then the
buttons.

The sentences of a message have at most one emoji. It shows the worst tone of all sentences, and it stands in front of
the first sentence with that tone: :white_check_mark: for good, :warning: for a warning, :x: for bad. Plain sentences
have no emoji. `bot.slack.tables` marks the rows of a table.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import slackblocks

from bot import plain_text
from bot.slack import blocks, buttons, charts, markup, tables
from bot.slack.tables import TableFormat
from core.lazy_dataclass import dataclass
from core.model.replies import Block, Chart, Fields, Lines, Reply, Table, Text, Tone
from core.text import person_names, sanitize

MAX_WEIGHT = 11_800  # of all blocks (see blocks.weight)
MAX_BLOCKS = 50
MAX_PARTS = 40
# Bytes. All of the message's text together has less than the 4,000 that Slack takes in an edit.
MAX_HEAD, MAX_TEXT, MAX_MENTIONS = 900, 2_000, 600
MAX_FILE_LINE = 1_000_000  # characters
# A message's own text, unlike a block's, cannot be marked as verbatim. There, another at sign replaces these.
_BROADCAST_MENTION = re.compile(r"@(?=(?:channel|here|everyone|group)\b)")
# From the best to the worst tone.
SIGNS = {Tone.GOOD: ":white_check_mark:", Tone.WARN: ":warning:", Tone.BAD: ":x:"}

__all__ = ["Message", "TableFormat", "TextFile", "render_message"]


def render_message(
    reply: Reply, *, table_format: TableFormat, head: str = "", line: str = "", file_place: str = ""
) -> Message:
    """`head`: one line of mrkdwn, shown first and small. The caller must have escaped it (`markup.literal`). `line`:
    the command line, by which a file is named. `file_place`: where the file will be, such as `in this channel`."""
    reply, head = person_names.with_names(reply), _cut_head(head)
    file_name = _file_name(reply, line, head)
    named = f"{file_name} ({file_place})" if file_place else file_name
    first: list[slackblocks.Block] = [blocks.note(head)] if head else []
    last = [*_mentions(reply.mention), *buttons.render_buttons(reply.buttons)]
    budget = MAX_WEIGHT - blocks.weight(first) - blocks.weight(last) - blocks.NOTE_WEIGHT
    body, missing = _body(reply, budget, MAX_BLOCKS - len(first) - len(last) - 1, table_format, named)
    all_blocks = [*first, *body, *last]
    if not body:
        all_blocks = [*first, blocks.note("There is nothing to show."), *last]
    for number, block in enumerate(all_blocks):
        block.block_id = f"{blocks.BLOCK_ID}-{number}"
    summary, complete = _summary(reply, head)
    text = "\n".join(filter(None, (summary, _whole_words(markup.mentions(reply.mention), MAX_MENTIONS))))
    return Message(
        text=text,
        blocks=blocks.resolved(all_blocks),
        file=_file(missing, file_name) if missing else None,
        text_is_whole=complete and all(isinstance(block, Text) for block in reply.blocks),
        whole=functools.partial(_file, reply.blocks, file_name),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`text`: escaped mrkdwn for notifications and for clients without blocks. It is never empty. `text_is_whole`: it
    says everything that the blocks say, but for buttons. `whole`: makes a file of all blocks, for a message that Slack
    refuses."""

    text: str
    blocks: Sequence[Mapping[str, Any]]
    file: TextFile | None = None
    text_is_whole: bool = False
    whole: Callable[[], TextFile] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A text file that is uploaded with a message."""

    name: str
    title: str
    text: str


def _body(
    reply: Reply, budget: int, max_blocks: int, table_format: TableFormat, file_name: str
) -> tuple[list[slackblocks.Block], Sequence[Block]]:
    """The blocks that fit, and the reply's blocks that are not shown completely."""
    signs = _signs(reply.blocks)
    made: list[blocks.RenderedBlock] = []
    forms: list[_Form] = []
    charts_left = charts.MAX_CHARTS
    for block, sign in zip(reply.blocks[:MAX_PARTS], signs, strict=False):
        form = _Form(table_format=table_format, sign=sign, further=any(part.has_table for part in made))
        if isinstance(block, Chart):
            charts_left -= 1
            if charts_left < 0:
                form = replace(form, table_format=min(table_format, TableFormat.DATA_TABLE))
        forms.append(form)
        made.append(_rendered(block, budget, form, file_name))
    cells = table_format < TableFormat.LONG_TABLE
    wants = [blocks.weight(part.blocks, cells=cells) for part in made]
    shown: list[slackblocks.Block] = []
    missing: list[Block] = []
    left_out = len(reply.blocks) - len(made)
    for at, share in enumerate(_shares(wants, budget)):
        block, part, cost = reply.blocks[at], made[at], wants[at]
        if cost > share:
            # With less room, fields may become a table, and another block may have one.
            others = any(other.has_table for number, other in enumerate(made) if number != at)
            form = replace(forms[at], further=forms[at].further or others)
            part = made[at] = _rendered(block, share, form, file_name)
            cost = blocks.weight(part.blocks, cells=cells)
        if cost > budget or len(part.blocks) > max_blocks:
            left_out += 1
            missing.append(block)
            continue
        budget, max_blocks = budget - cost, max_blocks - len(part.blocks)
        shown += part.blocks
        if not part.complete:
            missing.append(block)
    missing += reply.blocks[MAX_PARTS:]
    if left_out:
        shown.append(blocks.note(f"{blocks.plural(left_out, 'more part')} of this answer: see the file {file_name}."))
    return shown, missing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How one block is rendered. `sign`: in front of a sentence. `further`: the message has a table already."""

    table_format: TableFormat
    sign: str
    further: bool


def _rendered(block: Block, budget: int, form: _Form, file_name: str) -> blocks.RenderedBlock:
    match block:
        case Text():
            return blocks.text(block, budget=budget, file_name=file_name, sign=form.sign)
        case Lines():
            return blocks.lines(block, budget=budget, file_name=file_name)
        case Table() if form.further:
            return tables.render_further_table(block, budget=budget, file_name=file_name)
        case Table():
            return tables.render_table(block, budget=budget, table_format=form.table_format, file_name=file_name)
        case Chart():
            return charts.render_chart_block(block, budget=budget, table_format=form.table_format, file_name=file_name)
        case Fields():
            return tables.render_fields(
                block, budget=budget, table_format=form.table_format, file_name=file_name, further=form.further
            )


def _file(parts: Sequence[Block], name: str) -> TextFile:
    """A file that holds these blocks completely."""
    text = "\n".join(_as_file_text(block) for block in parts)
    text = text if text.strip() else "There is nothing to show."
    return TextFile(name=name, title=name.removesuffix(".txt"), text=f"{text}\n")


def _as_file_text(block: Block) -> str:
    """A block as text for a file, with longer lines than on a terminal."""
    match block:
        case Text():
            return sanitize.multiline(block.text, MAX_FILE_LINE)
        case Lines():
            lines = [sanitize.single_line(line, MAX_FILE_LINE) for line in block.lines]
            return "\n".join([*([sanitize.single_line(block.title)] if block.title else []), *lines])
        case _:
            return plain_text.render(Reply(blocks=(block,)))


def _shares(wants: Sequence[int], budget: int) -> list[int]:
    """Divides the budget: the smallest wants are met first; then each of the others gets an equal share of the rest."""
    shares = [0] * len(wants)
    for rank, at in enumerate(sorted(range(len(wants)), key=wants.__getitem__)):
        shares[at] = min(wants[at], budget // (len(wants) - rank))
        budget -= shares[at]
    return shares


def _signs(reply_blocks: Sequence[Block]) -> list[str]:
    """For each block its sign: that of the worst tone for the first sentence with that tone, else none."""
    tones = [block.tone if isinstance(block, Text) and block.text.strip() else Tone.PLAIN for block in reply_blocks]
    worst = next((tone for tone in reversed(SIGNS) if tone in tones), None)
    at = tones.index(worst) if worst else -1
    return [SIGNS[tones[at]] if number == at else "" for number in range(len(reply_blocks))]


def _mentions(ids: Sequence[str]) -> list[slackblocks.Block]:
    """The only place where a message notifies somebody: ids that the configuration names, never text of an engine."""
    called = markup.mentions(ids)
    return [blocks.section(called)] if called else []


def _summary(reply: Reply, head: str) -> tuple[str, bool]:
    """The text of a notification: complete sentences; of other blocks only their size. And whether all of it fits. A
    sentence in front of a table sums it up, so that its rows are not counted again."""
    parts = []
    for before, block in zip((None, *reply.blocks), reply.blocks, strict=False):
        title = f"{blocks.titled(block.title)}: ".removeprefix(": ") if not isinstance(block, Text) else ""
        match block:
            case Text():
                parts.append(block.text)
            case Table() if not block.rows:
                parts.append(f"{title}{block.empty}")
            case Table() if isinstance(before, Text) and not block.title:
                pass
            case Table():
                parts.append(f"{title}{blocks.plural(len(block.rows), 'row')}.")
            case Lines():
                parts.append(f"{title}{blocks.plural(len(block.lines), 'line')}.")
            case Chart():
                parts.append(f"{title}{'; '.join(line.strip() for line in plain_text.chart_lines(block)[:-1])}")
            case Fields():
                parts.append(title + ", ".join(f"{name}: {value}" for name, value in block.fields.items()))
    said = _BROADCAST_MENTION.sub("＠", "\n".join(parts))
    pieces, complete = markup.pieces(said, budget=MAX_TEXT - 2, most=MAX_TEXT)
    text = "\n".join([*([_BROADCAST_MENTION.sub("＠", head)] if head else []), *pieces])
    return (text if complete else f"{text} …") or "There is nothing to show.", complete


def _cut_head(head: str) -> str:
    """The head as one line, cut if it is too long, but never inside `<…>`; code that is cut stays code."""
    head = " ".join(head.split())
    if blocks.text_size(head) <= MAX_HEAD:
        return head
    cut = _whole_words(head, MAX_HEAD)
    cut = (cut if cut.rfind("<") <= cut.rfind(">") else cut[: cut.rfind("<")]).strip()
    return f"{cut}…`" if cut.count("`") % 2 else cut


def _whole_words(text: str, most: int) -> str:
    """The beginning of a text that has at most so many bytes, cut between two words if there are two."""
    if blocks.text_size(text) <= most:
        return text
    cut = text.encode("utf-8", "surrogatepass")[:most].decode("utf-8", "ignore")
    return cut.rpartition(" ")[0] or cut


def _file_name(reply: Reply, line: str, head: str) -> str:
    """The file's name, from the words of the command before its options (`logs web --tail 500` → logs-web.txt), else
    from the head, else from the first title."""
    titles = [block.title for block in reply.blocks if not isinstance(block, Text)]
    before_options = line.partition(" -")[0]
    for words in (before_options, html.unescape(re.sub(r"<[^>]*>", " ", head)), *titles):
        slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:50].strip("-")
        if slug:
            return f"{slug}.txt"
    return "reply.txt"
