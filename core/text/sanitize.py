"""Makes text from outside safe to print, such as container names, labels and log lines.

Escape sequences, bidirectional controls and invisible characters are removed; other control characters are shown as
symbols (␀ ␇ ␛); invalid characters become �; a progress bar is reduced to its last state; a long line is cut, with a
note. The result cannot move the cursor, and cannot recolour, reverse or hide the text around it.
"""

from __future__ import annotations

import re

MAX_LENGTH = 4_096
# CSI (7-bit and 8-bit), strings up to their terminator (OSC, DCS, SOS, PM, APC), then short sequences. No pattern can
# match beyond the next escape or backtrack, so hostile input costs one pass.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*+[0-~]"
)
_INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE = re.compile(f"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_INVISIBLE}]")


def single_line(text: str, limit: int = MAX_LENGTH) -> str:
    """Returns one printable line of about `limit` characters at most. Line breaks become spaces; tabs remain."""
    length = len(text)
    if length <= limit and text.isprintable() and text.isascii():
        return text
    if "\r" in text:
        text = (
            text.rstrip("\r\n").rpartition("\r")[2] if "\n" not in text.rstrip("\r\n") else text.replace("\r\n", "\n")
        )
    if length > 8 * limit:
        # Most of a line may be escapes; eight times the limit is enough text in every normal case.
        text = text[: 8 * limit]
    if "\x1b" in text or "\x9b" in text or "\x9d" in text or "\x90" in text:
        text = _ESCAPES.sub("", text)
    text = _UNSAFE.sub(_replacement, text)
    if len(text) > limit or length > 8 * limit:
        return f"{text[:limit]}… ({length:,} characters)"
    return text


def multiline(text: str, limit: int = MAX_LENGTH) -> str:
    """Applies `single_line` to each line of the text."""
    return "\n".join(single_line(line, limit) for line in text.split("\n"))


def _replacement(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in (0x0A, 0x0D, 0x2028, 0x2029):
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if code < 0xA0 or 0xD800 <= code <= 0xDFFF:
        return "�"
    return ""
