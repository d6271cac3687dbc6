"""Secrets out of text, at the one exit: each becomes ••••, what names it stays readable.

Patterns know secrets by their name (`password=…`), their place (`scheme://user:…@host`) or their own shape (`ghp_…`,
PEM). A secret that has none of these passes. Lines without any hint of one cost a few substring searches; no pattern
looks at a character more than a bounded number of times, so hostile text costs time in proportion to its length.
Redacting twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.model.replies import Block, Button, Fields, Lines, Reply, Table, Text
from core.text import secret_patterns

MASK = secret_patterns.MASK
_MOST_READINGS = 5
_LONGEST_KEY = 300  # lines


def redact(text: str) -> str:
    """The text with what looks like a secret replaced by ••••."""
    lowered = text.lower()
    if not secret_patterns.may_contain_secret(lowered):
        return text
    if secret_patterns.PRIVATE_KEY_HINT not in lowered:
        return _masked(text)
    # A marker of a key that stands where another secret is masked changes what the next reading sees.
    for _ in range(_MOST_READINGS):
        before, text = text, _masked(secret_patterns.mask_private_keys(text))
        if text == before:
            break
    return text


class StreamRedactor:
    """`redact` for lines that come bit by bit: a private key that began earlier is masked until it ends, or until so
    many lines came that it cannot be one any more."""

    def __init__(self) -> None:
        self._marker = self._last = ""
        self._since = 0

    def redact(self, lines: Sequence[str]) -> list[str]:
        """The next lines; there may be fewer of them afterwards."""
        if not lines:
            return []
        before = [self._marker, self._last] if self._marker else []
        text = "\n".join([*before, *lines])
        masked = redact(text)
        if before:
            head, _, masked = masked.partition("\n")
            if head == self._marker:  # else the key's end stands in this line too
                masked = masked.partition("\n")[2]
            else:
                masked = "\n".join([head.removeprefix(self._marker), *([masked] if masked else [])])
        marker = secret_patterns.unclosed_key_marker(text)
        self._since = self._since + len(lines) if marker == self._marker else len(lines)
        self._marker, self._last = (marker, lines[-1]) if marker and self._since <= _LONGEST_KEY else ("", "")
        return masked.split("\n") if masked or not before else []


def redact_reply(reply: Reply) -> Reply:
    """Every text of a reply: sentences, cells, lines, fields, button labels. A key spread over lines is found too."""
    return replace(
        reply,
        blocks=tuple(_block(block) for block in reply.blocks),
        buttons=tuple(_button(button) for button in reply.buttons),
    )


def _masked(text: str) -> str:
    return "\n".join(secret_patterns.mask_secrets(line) for line in text.split("\n"))


def _block(block: Block) -> Block:
    match block:
        case Text():
            return replace(block, text=redact(block.text))
        case Lines(secret=True):
            return block
        case Lines():
            # As one text: a private key is spread over many lines. The number of lines may shrink.
            lines = tuple(redact("\n".join(block.lines)).split("\n")) if block.lines else ()
            return replace(block, lines=lines, title=redact(block.title))
        case Table():
            return replace(block, rows=_rows(block.rows), title=redact(block.title), empty=redact(block.empty))
        case Fields():
            fields = {redact(name): redact_value(name, value) for name, value in block.fields.items()}
            return replace(block, fields=fields, title=redact(block.title))


def _rows(rows: Sequence[Sequence[str | int | float]]) -> Sequence[Sequence[str | int | float]]:
    # One search over the whole table tells that none of its cells needs one of its own.
    whole = "\n".join(cell for row in rows for cell in row if isinstance(cell, str))
    if not secret_patterns.may_contain_secret(whole.lower()):
        return rows
    return tuple(tuple(redact(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)


def redact_value(name: str, value: str) -> str:
    """A value by its own shape, or because of the name beside it."""
    joined = f"{name}: "
    alone = redact(joined + value)
    return alone.removeprefix(joined) if alone.startswith(joined) else redact(value)


def _button(button: Button) -> Button:
    return replace(button, label=redact(button.label))
