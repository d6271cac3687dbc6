"""Replaces secrets in text with ••••; their names remain readable.

Patterns detect a secret by its name (`password=…`), its position (`scheme://user:…@host`) or its own format (`ghp_…`,
PEM). A secret without any of these is not detected. Text without any hint of a secret costs a few substring searches.
Each pattern visits each character a bounded number of times, so even hostile text takes linear time. Redacting twice
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.model.replies import Block, Button, Fields, Lines, Reply, Table, Text
from core.text import known_secrets, secret_patterns

MASK = known_secrets.MASK
_MAX_PASSES = 5
_MAX_KEY_LINES = 300


def redact(text: str) -> str:
    """Replaces everything in the text that looks like a secret, and every secret of this process, with ••••."""
    text = known_secrets.mask_known(text)
    lowered = text.lower()
    if not secret_patterns.may_contain_secret(lowered):
        return text
    if secret_patterns.PRIVATE_KEY_HINT not in lowered:
        return _masked(text)
    # Masking may change the text around a key marker, and so what the next pass finds.
    for _ in range(_MAX_PASSES):
        before, text = text, _masked(secret_patterns.mask_private_keys(text))
        if text == before:
            break
    return text


class StreamRedactor:
    """Redacts a log that arrives in parts. A private key that began in an earlier part is masked up to its end, or for
    at most `_MAX_KEY_LINES` lines."""

    def __init__(self) -> None:
        self._marker = self._last = ""
        self._since = 0

    def redact(self, lines: Sequence[str]) -> list[str]:
        """Redacts the next lines; the result may have fewer lines."""
        if not lines:
            return []
        before = [self._marker, self._last] if self._marker else []
        text = "\n".join([*before, *lines])
        masked = redact(text)
        if before:
            head, _, masked = masked.partition("\n")
            if head == self._marker:  # otherwise this line also contains the end of the key
                masked = masked.partition("\n")[2]
            else:
                masked = "\n".join([head.removeprefix(self._marker), *([masked] if masked else [])])
        marker = secret_patterns.unclosed_key_marker(text)
        self._since = self._since + len(lines) if marker == self._marker else len(lines)
        self._marker, self._last = (marker, lines[-1]) if marker and self._since <= _MAX_KEY_LINES else ("", "")
        return masked.split("\n") if masked or not before else []


def redact_reply(reply: Reply) -> Reply:
    """Redacts all texts of a reply: sentences, cells, lines, fields, button labels; also keys of several lines."""
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
            # Joined to one text, because a private key spans many lines. The result may have fewer lines.
            lines = tuple(redact("\n".join(block.lines)).split("\n")) if block.lines else ()
            return replace(block, lines=lines, title=redact(block.title))
        case Table():
            return replace(block, rows=_rows(block.rows), title=redact(block.title), empty=redact(block.empty))
        case Fields():
            fields = {redact(name): redact_value(name, value) for name, value in block.fields.items()}
            return replace(block, fields=fields, title=redact(block.title))


def _rows(rows: Sequence[Sequence[str | int | float]]) -> Sequence[Sequence[str | int | float]]:
    # One search over the whole table avoids a search for each cell.
    whole = "\n".join(cell for row in rows for cell in row if isinstance(cell, str))
    if not secret_patterns.may_contain_secret(whole.lower()) and known_secrets.mask_known(whole) == whole:
        return rows
    return tuple(tuple(redact(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)


def redact_value(name: str, value: str) -> str:
    """Redacts a value because of its own format, or because of its name."""
    joined = f"{name}: "
    alone = redact(joined + value)
    return alone.removeprefix(joined) if alone.startswith(joined) else redact(value)


def _button(button: Button) -> Button:
    return replace(button, label=redact(button.label))
