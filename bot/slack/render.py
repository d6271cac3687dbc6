"""A reply becomes one message for Slack: a pure function, the same reply always the same message.

Replies arrive redacted; here they are made safe and made to fit: 50 blocks, under 12,000 characters in all. Blocks
that want little get all they want, the others share what is left; what is cut or left out is told where it is
missing, and lies whole in one text file, the paper. Order is kept: who asked what, the blocks, the buttons.

At most one sign stands in a message, :white_check_mark: for good, :warning: for a warning, :x: for bad: before the
first sentence of the worst tone in it. Plain sentences have none.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import slackblocks

from bot import plain_text
from bot.slack import blocks as slack_blocks
from bot.slack import markup, tables
from bot.slack.tables import Shape
from core.model.replies import Block, Button, Fields, Lines, Reply, Table, Text, Tone
from core.text import sanitize

ROOM = 11_800  # weight of all blocks (see parts.weight)
MOST_BLOCKS = 50
MOST_PARTS = 40
MOST_BUTTONS = 25
BUTTON_ROOM = 4_500  # weight of all buttons
LONGEST_HEAD = 1_000
LONGEST_LABEL = 75
LONGEST_VALUE = 2_000
LONGEST_CONFIRM = 300
LONGEST_TEXT = 3_000
LONGEST_WRITTEN = 1_000_000  # characters of one line in a file
# A message's own text, unlike a block's, cannot be said to be verbatim; there these get another sign before them.
_CALL = re.compile(r"@(?=(?:channel|here|everyone|group)\b)")
ACTION = "deck"  # action ids are deck:0, deck:1, …
# From the mildest to the worst.
SIGNS = {Tone.GOOD: ":white_check_mark:", Tone.WARN: ":warning:", Tone.BAD: ":x:"}

__all__ = ["Message", "Paper", "Shape", "message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A longer text that goes along as a file."""

    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`text` is safe mrkdwn for notifications and for clients without blocks, never empty."""

    text: str
    blocks: Sequence[Mapping[str, Any]]
    paper: Paper | None = None


def message(reply: Reply, *, shape: Shape, head: str = "") -> Message:
    """`head`: one line of mrkdwn that goes first, quietly; its maker answers for its safety (`markup.literal`)."""
    head = _cut_head(head)
    name = _name(reply, head)
    first: list[slackblocks.Block] = [slack_blocks.note(head)] if head else []
    last = _buttons(reply.buttons)
    room = ROOM - slack_blocks.weight(first) - slack_blocks.weight(last) - slack_blocks.NOTE
    blocks, missing = _body(reply, room, MOST_BLOCKS - len(first) - len(last) - 1, shape, name)
    whole = [*first, *blocks, *last]
    if not blocks:
        whole = [*first, slack_blocks.note("There is nothing to show."), *last]
    for number, block in enumerate(whole):
        block.block_id = f"{ACTION}-{number}"
    paper = None
    if missing:
        text = "\n".join(_written(block) for block in missing)
        paper = Paper(name=name, title=name.removesuffix(".txt"), text=f"{text}\n")
    return Message(text=_summary(reply, head), blocks=slack_blocks.resolved(whole), paper=paper)


def _body(
    reply: Reply, room: int, most: int, shape: Shape, paper: str
) -> tuple[list[slackblocks.Block], Sequence[Block]]:
    """The blocks that fit, and the reply's blocks that are not shown whole."""
    signs = _signs(reply.blocks)
    made: list[slack_blocks.Part] = []
    shapes: list[Shape] = []
    for block, sign in zip(reply.blocks[:MOST_PARTS], signs, strict=False):
        # A message may have one table block; data tables are not counted so.
        shapes.append(Shape.PLAIN if any(part.native for part in made) else shape)
        made.append(_part(block, room, shapes[-1], paper, sign))
    wants = [slack_blocks.weight(part.blocks) for part in made]
    shown: list[slackblocks.Block] = []
    missing: list[Block] = []
    left_out = len(reply.blocks) - len(made)
    for at, share in enumerate(_shares(wants, room)):
        block, part, cost = reply.blocks[at], made[at], wants[at]
        if cost > share:
            part = _part(block, share, shapes[at], paper, signs[at])
            cost = slack_blocks.weight(part.blocks)
        if cost > room or len(part.blocks) > most:
            left_out += 1
            missing.append(block)
            continue
        room, most = room - cost, most - len(part.blocks)
        shown += part.blocks
        if not part.whole:
            missing.append(block)
    missing += reply.blocks[MOST_PARTS:]
    if left_out:
        shown.append(
            slack_blocks.note(f"{slack_blocks.count(left_out, 'more part')} of this answer: see the file {paper}.")
        )
    return shown, missing


def _part(block: Block, room: int, shape: Shape, paper: str, sign: str) -> slack_blocks.Part:
    match block:
        case Text():
            return slack_blocks.text(block, room=room, paper=paper, sign=sign)
        case Lines():
            return slack_blocks.lines(block, room=room, paper=paper)
        case Table():
            return tables.table(block, room=room, shape=shape, paper=paper)
        case Fields():
            return tables.fields(block, room=room, shape=shape, paper=paper)


def _written(block: Block) -> str:
    """A block as text for a file; lines longer than a terminal's are kept."""
    match block:
        case Text():
            return sanitize.multiline(block.text, LONGEST_WRITTEN)
        case Lines():
            lines = [sanitize.single_line(line, LONGEST_WRITTEN) for line in block.lines]
            return "\n".join([*([sanitize.single_line(block.title)] if block.title else []), *lines])
        case _:
            return plain_text.render(Reply(blocks=(block,)))


def _shares(wants: Sequence[int], room: int) -> list[int]:
    """Of the room, to each what it wants or an equal share of what is left, the modest first."""
    shares = [0] * len(wants)
    for rank, at in enumerate(sorted(range(len(wants)), key=wants.__getitem__)):
        shares[at] = min(wants[at], room // (len(wants) - rank))
        room -= shares[at]
    return shares


def _signs(blocks: Sequence[Block]) -> list[str]:
    """A sign for the first sentence of the worst tone, for all other blocks none."""
    tones = [block.tone if isinstance(block, Text) and block.text.strip() else Tone.PLAIN for block in blocks]
    worst = next((tone for tone in reversed(SIGNS) if tone in tones), None)
    at = tones.index(worst) if worst else -1
    return [SIGNS[tones[at]] if number == at else "" for number in range(len(blocks))]


def _buttons(buttons: Sequence[Button]) -> list[slackblocks.Block]:
    """One row of buttons; those that cannot be pressed here are told, so that nobody waits for them."""
    kept: list[slackblocks.Element] = []
    left = BUTTON_ROOM
    for button in buttons:
        if len(kept) == MOST_BUTTONS or not _pressable(button):
            continue
        made = _button(button, len(kept))
        left -= slack_blocks.weight([slackblocks.ActionsBlock(elements=[made])])
        if left < 0:
            break
        kept.append(made)
    row: list[slackblocks.Block] = [slackblocks.ActionsBlock(elements=kept)] if kept else []
    if len(kept) < len(buttons):
        missing = slack_blocks.count(len(buttons) - len(kept), "button")
        row.append(slack_blocks.note(f"{missing} left out: too many, or too long a command. Type the command instead."))
    return row


def _pressable(button: Button) -> bool:
    """Whether the line fits, and can be sent at all."""
    line = button.line
    return (
        bool(_one_line(line, 1))
        and len(line) <= LONGEST_VALUE
        and not any("\ud800" <= sign <= "\udfff" for sign in line)
    )


def _button(button: Button, number: int) -> slackblocks.Button:
    # An answer to a question already asked is not asked about again.
    ask = button.danger and not button.line.startswith("confirm ")
    dialogue = slackblocks.ConfirmationDialogue(
        title=slackblocks.PlainText("Are you sure?"),
        text=slackblocks.PlainText(_one_line(f"This says: {button.line}", LONGEST_CONFIRM)),
        confirm=slackblocks.PlainText("Yes, do it"),
        deny=slackblocks.PlainText("Cancel"),
        style="danger",
    )
    return slackblocks.Button(
        text=slackblocks.PlainText(_one_line(button.label, LONGEST_LABEL) or _one_line(button.line, LONGEST_LABEL)),
        action_id=f"{ACTION}:{number}",
        value=button.line,
        style="danger" if button.danger else None,
        confirm=dialogue if ask else None,
    )


def _one_line(text: str, longest: int) -> str:
    shown = sanitize.single_line(text).replace("\t", " ").strip()
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _summary(reply: Reply, head: str) -> str:
    """What a notification says: sentences whole, of the rest how much there is."""
    said = []
    for block in reply.blocks:
        title = f"{slack_blocks.titled(block.title)}: ".removeprefix(": ") if not isinstance(block, Text) else ""
        match block:
            case Text():
                said.append(block.text)
            case Table() if not block.rows:
                said.append(f"{title}{block.empty}")
            case Table():
                said.append(f"{title}{slack_blocks.count(len(block.rows), 'row')}.")
            case Lines():
                said.append(f"{title}{slack_blocks.count(len(block.lines), 'line')}.")
            case Fields():
                said.append(title + ", ".join(f"{name}: {value}" for name, value in block.fields.items()))
    told, whole = markup.pieces("\n".join(said), room=LONGEST_TEXT - 2, most=LONGEST_TEXT)
    text = _CALL.sub("＠", "\n".join([*([head] if head else []), *told]))
    return (text if whole else f"{text} …") or "There is nothing to show."


def _cut_head(head: str) -> str:
    """One line, never cut inside `<…>`; code that is cut stays code."""
    head = " ".join(head.split())
    if len(head) <= LONGEST_HEAD:
        return head
    kept = head[:LONGEST_HEAD].rpartition(" ")[0] or head[:LONGEST_HEAD]
    kept = (kept if kept.rfind("<") <= kept.rfind(">") else kept[: kept.rfind("<")]).strip()
    return f"{kept}…`" if kept.count("`") % 2 else kept


def _name(reply: Reply, head: str) -> str:
    """The paper's file name, from the head's words (`<@U1> · logs web` → logs-web.txt), else the first title."""
    titles = [block.title for block in reply.blocks if not isinstance(block, Text)]
    for words in (html.unescape(re.sub(r"<[^>]*>", " ", head)), *titles):
        slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:50].strip("-")
        if slug:
            return f"{slug}.txt"
    return "reply.txt"
