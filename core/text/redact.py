"""Makes text from outside fit to be shown: first printable, then with secrets replaced by ••••.

The order matters. Colour codes and invisible characters inside a secret would hide it from every pattern, so they are
removed first, and text is cut only after its secrets were masked. What is left as symbols (␀) is ignored while looking.

Patterns detect a secret by its name (`password=…`), its position (`scheme://user:…@host`) or its own format (`ghp_…`,
PEM). The secrets of this process itself are detected by value. A secret without any of these is not detected. Each
pattern visits each character a bounded number of times, so even hostile text takes linear time. Redacting twice changes
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from core.model.replies import Block, Button, Fields, Lines, Reply, Table, Text
from core.text import known_secrets, named_secrets, private_keys, sanitize, secret_patterns

MASK = known_secrets.MASK
_MAX_PASSES = 5
_MAX_KEY_LINES = 300


def redact(text: str) -> str:
    """Returns the text printable, with everything that looks like a secret, and every secret of this process,
    replaced by ••••."""
    shown = _masked(sanitize.printable(text))
    letters = sanitize.letters(text)
    if letters != shown and (found := _masked(letters)) not in (letters, sanitize.letters(shown)):
        shown = _uncovered(shown, found)
    if "\\" in shown and (found := _masked(plain := sanitize.unescaped(shown))) != plain:
        pairs = zip(shown.split("\n"), plain.split("\n"), found.split("\n"), strict=False)
        shown = "\n".join(line if before == after else after for line, before, after in pairs)
    return shown


def _uncovered(shown: str, found: str) -> str:
    """Returns each line as it was `found` among the letters alone, if that masks more than `shown`. Elsewhere a symbol
    beside a secret stays readable."""
    lines, others = shown.split("\n"), found.split("\n")
    if len(lines) != len(others):
        return found  # a key of several lines
    # What stood before the last carriage return of a line is not shown.
    return "\n".join(
        line if other.endswith(sanitize.letters(line)) else other for line, other in zip(lines, others, strict=True)
    )


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
        text = sanitize.printable("\n".join([*before, *lines]))
        masked = redact(text)
        if before:
            head, _, masked = masked.partition("\n")
            if head == self._marker:  # otherwise this line also contains the end of the key
                masked = masked.partition("\n")[2]
            else:
                masked = "\n".join([head.removeprefix(self._marker), *([masked] if masked else [])])
        marker = private_keys.unclosed_key_marker(text)
        self._since = self._since + len(lines) if marker == self._marker else len(lines)
        self._marker, self._last = (marker, lines[-1]) if marker and self._since <= _MAX_KEY_LINES else ("", "")
        return masked.split("\n") if masked or not before else []


def redact_reply(reply: Reply, names: Collection[str] = ()) -> Reply:
    """Redacts all texts of a reply: sentences, cells, lines, fields, button labels; also keys of several lines.
    `names`: the names of the command's targets. In `api-token: docker/vm cannot …` the name is a label, and what
    follows it is a sentence, whatever the name looks like."""
    return replace(
        reply,
        blocks=tuple(_block(block, names) for block in reply.blocks),
        buttons=tuple(_button(button) for button in reply.buttons),
    )


def _masked(text: str) -> str:
    text = known_secrets.mask_known(text)
    lowered = text.lower()
    if not any(hint in lowered for hint in private_keys.HINTS):
        return secret_patterns.mask_secrets(text)
    # Masking may change the text around a key marker, and so what the next pass finds.
    for _ in range(_MAX_PASSES):
        before, text = text, secret_patterns.mask_secrets(private_keys.mask_private_keys(text))
        if text == before:
            break
    return text


def _sentences(text: str, names: Collection[str]) -> str:
    """Redacts sentences of ours, line by line after the label of a target."""
    labels = tuple(f"{name}: " for name in names if name)
    if not labels or not any(label in text for label in labels):
        return redact(text)
    shown = []
    for line in text.split("\n"):
        label = max((label for label in labels if line.startswith(label)), key=len, default="")
        shown.append(label + redact(line.removeprefix(label)))
    return "\n".join(shown)


def _block(block: Block, names: Collection[str]) -> Block:
    match block:
        case Text():
            return replace(block, text=_sentences(block.text, names))
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
    if redact(whole) == whole:
        return rows
    return tuple(tuple(redact(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)


def redact_value(name: str, value: str) -> str:
    """Redacts a value because of its own format, or because of its name."""
    return MASK if named_secrets.is_secret(name, sanitize.letters(value)) else redact(value)


def _button(button: Button) -> Button:
    return replace(button, label=redact(button.label))
