"""Makes text from outside safe to show: first printable, then with secrets replaced by ••••.

The order matters. Colour codes and invisible characters inside a secret would hide it from every pattern, so they are
removed first. Text is shortened only after its secrets were masked. Control characters that are shown as symbols (␀)
are skipped by the patterns.

Patterns detect a secret by its name (`password=…`), its position (`scheme://user:…@host`) or its own format (`ghp_…`,
PEM). The secrets of this process itself are detected by value. A secret without any of these is not detected. Each
pattern visits each character a bounded number of times, so even hostile text takes linear time. A time limit stops a
text that would still take too long. Redacting twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from core.model.replies import Block, Button, Chart, Fields, Lines, Reply, Table, Text
from core.text import known_secrets, named_secrets, private_keys, sanitize, secret_masker
from core.text.secret_search_limit import OutOfTimeError, SecretSearchLimit

MASK = known_secrets.MASK
_MAX_PASSES = 5
MAX_SENTENCES = 20_000  # characters of a text that is searched whatever time that takes
MAX_UNLIMITED = 1_000  # characters of a field that is shown even if the time is used up
NOT_SEARCHED = "are not shown, because it would take too long to search them for secrets."
_MAX_KEY_LINES = 300


def redact(text: str, limit: SecretSearchLimit | None = None) -> str:
    """Returns the text printable, with everything that looks like a secret, and every secret of this process,
    replaced by ••••. Raises OutOfTimeError if there is a `limit`."""
    shown = _masked(plain := sanitize.make_printable(text), limit)
    letters = sanitize.letters(text)
    if letters not in (plain, shown) and (found := _masked(letters, limit)) not in (letters, sanitize.letters(shown)):
        shown = _uncovered(shown, found)
    if "\\" in shown and (found := _masked(plain := sanitize.unescaped(shown), limit)) != plain:
        pairs = zip(shown.split("\n"), plain.split("\n"), found.split("\n"), strict=False)
        shown = "\n".join(line if before == after else after for line, before, after in pairs)
    return shown


def redact_within(text: str, limit: SecretSearchLimit) -> tuple[str, int]:
    """Does the same as `redact` for as many lines as the time allows. Returns these, and the number of lines at the end
    that were left out."""
    try:
        return redact(text, limit), 0
    except OutOfTimeError as error:
        kept = error.lines // 2
    lines = text.split("\n")
    while kept:
        limit = limit.extension()
        try:
            return redact("\n".join(lines[:kept]), limit), len(lines) - kept
        except OutOfTimeError as error:
            kept = min(kept, error.lines) // 2
    return "", len(lines)


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
        text = sanitize.make_printable("\n".join([*before, *lines]))
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


def redact_reply(reply: Reply, names: Collection[str] = (), limit: SecretSearchLimit | None = None) -> Reply:
    """Redacts all texts of a reply: sentences, cells, lines, fields, button labels; also keys of several lines.
    `names`: the names of the command's targets. In `api-token: docker/vm cannot …` the name is a label, and what
    follows it is a sentence, whatever the name looks like. What `limit` leaves no time for is left out, and a sentence
    says so."""
    limit = limit or SecretSearchLimit()
    return replace(
        reply,
        blocks=tuple(shown for block in reply.blocks for shown in _blocks(block, names, limit)),
        buttons=tuple(_button(button) for button in reply.buttons),
    )


def _masked(text: str, limit: SecretSearchLimit | None) -> str:
    text = known_secrets.mask_known(text)
    lowered = text.lower()
    if not any(hint in lowered for hint in private_keys.HINTS):
        return secret_masker.mask_secrets(text, limit)
    text = private_keys.mask_private_keys(text)
    for _ in range(_MAX_PASSES):
        text = secret_masker.mask_secrets(text, limit)
        # Masking may change the text around a key marker, and so what is a part of a key.
        before, text = text, private_keys.mask_private_keys(text)
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


def _blocks(block: Block, names: Collection[str], limit: SecretSearchLimit) -> Sequence[Block]:
    """Returns the redacted block, and a note if a part of it was left out."""
    left_out = ""
    match block:
        case Text() if len(block.text) > MAX_SENTENCES:
            text, more = redact_within(block.text, limit)
            left_out = f"{more:,} more lines" if more else ""
            block = replace(block, text=text)
        case Text():
            block = replace(block, text=_sentences(block.text, names))
        case Lines(secret=True):
            pass
        case Lines():
            # Joined to one text, because a private key spans many lines. The result may have fewer lines.
            text, more = redact_within("\n".join(block.lines), limit)
            left_out = f"{more:,} more lines" if more else ""
            shown = tuple(text.split("\n")) if text or (block.lines and not more) else ()
            block = replace(block, lines=shown, title=redact(block.title))
        case Table():
            rows = _rows(block.rows, limit)
            left_out = f"{more:,} more rows" if (more := len(block.rows) - len(rows)) else ""
            block = replace(block, rows=rows, title=redact(block.title), empty=redact(block.empty))
        case Fields():
            fields = {
                redact(name): redact_value(name, value)
                for name, value in block.fields.items()
                if len(value) < MAX_UNLIMITED or not limit.used_up
            }
            left_out = f"{more:,} more fields" if (more := len(block.fields) - len(fields)) > 0 else ""
            block = replace(block, fields=fields, title=redact(block.title))
        case Chart():
            series = {redact(name): values for name, values in block.series.items()}
            block = replace(block, title=redact(block.title), series=series)
    return (block, Text(text=f"{left_out} {NOT_SEARCHED}")) if left_out else (block,)


def _rows(
    rows: Sequence[Sequence[str | int | float]], limit: SecretSearchLimit
) -> Sequence[Sequence[str | int | float]]:
    """Returns the redacted rows, without those that the time does not suffice for."""
    # One search over the whole table avoids a search for each cell.
    whole = "\n".join(cell for row in rows for cell in row if isinstance(cell, str))
    try:
        if redact(whole, limit) == whole:
            return rows
    except OutOfTimeError:
        limit = limit.extension()
    shown = []
    for row in rows:
        if limit.used_up:
            break
        shown.append(tuple(redact(cell) if isinstance(cell, str) else cell for cell in row))
    return tuple(shown)


def redact_value(name: str, value: str, limit: SecretSearchLimit | None = None) -> str:
    """Redacts a value because of its own format, or because of its name. Raises OutOfTimeError if there is a
    `limit`."""
    return MASK if named_secrets.is_secret(name, sanitize.letters(value)) else redact(value, limit)


def _button(button: Button) -> Button:
    return replace(button, label=redact(button.label))
