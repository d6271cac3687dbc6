"""Limits the characters of a reply, and notes in it what is left out.

The beginning of a reply is shown. Each text, cell and value also has its own limit, so that one of them does not
displace all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from core.model.replies import Block, Chart, Fields, Lines, Reply, Text, Tone

MAX_REPLY = 4 << 20  # characters
MAX_CELL = 16_384  # characters of a cell, a value or a line
CELL_OVERHEAD = 4  # characters: empty cells and lines count, too
T = TypeVar("T")


def limit_reply(reply: Reply) -> Reply:
    """Returns the reply, cut if it is too large."""
    if reply_size(reply) <= MAX_REPLY:
        return reply
    left, blocks, left_out = MAX_REPLY, list[Block](), 0
    for block in reply.blocks:
        shown, missing = _cut(block, left)
        left_out += missing
        left -= sum(_length(part) for part in _parts(shown))
        blocks.append(shown)
    note = f"This reply was too large: {left_out:,} lines or rows at its end are left out. Ask for less at a time."
    return replace(reply, blocks=(*blocks, Text(text=note, tone=Tone.WARN)))


def reply_size(reply: Reply) -> int:
    """Returns the characters of a reply, approximately."""
    return sum(sum(_length(part) for part in _parts(block)) for block in reply.blocks)


def _parts(block: Block) -> Iterable[object]:
    if isinstance(block, Text):
        yield block.text
    elif isinstance(block, Lines):
        yield from block.lines
    elif isinstance(block, Fields):
        for pair in block.fields.items():
            yield from pair
    elif isinstance(block, Chart):
        yield from (block.title, *block.labels, *block.series)
    else:
        for row in block.rows:
            yield from row


def _length(part: object) -> int:
    return CELL_OVERHEAD + (len(part) if isinstance(part, str) else CELL_OVERHEAD)


def _cut(block: Block, left: int) -> tuple[Block, int]:
    """Returns the block within `left` characters, and how many of its lines or rows are left out."""
    if isinstance(block, Text):
        return replace(block, text=_short(block.text[: max(0, left)])), 0
    if isinstance(block, Lines):
        lines = _within(map(_short, block.lines), left, _length)
        return replace(block, lines=lines), len(block.lines) - len(lines)
    if isinstance(block, Fields):
        pairs = ((_short(name), _short(value)) for name, value in block.fields.items())
        fields = dict(_within(pairs, left, lambda pair: sum(map(_length, pair))))
        return replace(block, fields=fields), len(block.fields) - len(fields)
    if isinstance(block, Chart):
        return block, 0
    rows = _within(map(_short_row, block.rows), left, lambda row: sum(map(_length, row)))
    return replace(block, rows=rows), len(block.rows) - len(rows)


def _within(items: Iterable[T], left: int, length: Callable[[T], int]) -> list[T]:
    shown = []
    for item in items:
        left -= length(item)
        if left < 0:
            break
        shown.append(item)
    return shown


def _short_row(row: Sequence[str | int | float]) -> Sequence[str | int | float]:
    return [_short(cell) if isinstance(cell, str) else cell for cell in row]


def _short(text: str) -> str:
    excess = len(text) - MAX_CELL
    return f"{text[:MAX_CELL]}… ({excess:,} more characters)" if excess > 0 else text
