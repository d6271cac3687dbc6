"""Makes text from outside safe to print, such as container names, labels and log lines.

Escape sequences, bidirectional controls and invisible characters are removed; other control characters are shown as
symbols (␀ ␇ ␛); invalid characters become �; a progress bar is reduced to its last state; a long line is cut, with a
note. The result cannot move the cursor, and cannot recolour, reverse or hide the text around it.

`make_printable` cuts nothing, so that `core.text.redact` can find whole secrets. `letters` also removes what
a person does not read, such as symbols and overstrikes, so that nothing stands between the letters of a secret.
"""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 4_096
# CSI (7-bit and 8-bit), strings up to their terminator (OSC, DCS, SOS, PM, APC), then short sequences. No pattern can
# match beyond the next escape or backtrack, so hostile input costs one pass.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*+[0-~]"
)
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(f"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_INVISIBLE}]")
_NOT_ASCII_TEXT = re.compile(r"[^\t\n\x20-\x7e]")
# Escapes as text: of JSON, C and shells, as cat -v and syslog write them, and what is left where somebody removed ESC.
_WRITTEN_ESCAPES = re.compile(
    r"(?:\\{1,4}(?:u001[bB]|x1[bB]|033|e)|\^\[|#033|␛)\[[0-?]{0,24}[ -/]{0,4}[@-~]|\[[0-9;:]{1,24}m"
    r"|\\{1,4}u(?:00(?:0[0-8bBcCeEfF]|1[0-9a-fA-F]|[aA][dD])|200[b-fB-F]|202[a-eA-E]|206[0-9a-fA-F]|[fF][eE]"
    r"(?:[fF]{2}|0[0-9a-fA-F]))"
)
# JSON within JSON puts backslashes before quotes, and some encoders write punctuation as \u003d.
_ESCAPED = re.compile(r"\\{1,15}(?:([\"'/])|u00(2[267fF]|3[acdeACDE]))")
_SYMBOLS = re.compile("[\u2400-\u2426\ufffd\u2800\ufe00-\ufe0f]")
_BREAKS = re.compile("[\u2028\u2029\x85]")


def make_printable(text: str) -> str:
    """Returns the text with each of its lines printable. Cuts nothing."""
    if _NOT_ASCII_TEXT.search(text) is None:
        return text
    return "\n".join(map(_printable_line, text.split("\n")))


def letters(text: str) -> str:
    """Returns only the letters of the text, as a person would read them aloud. For searching, not for showing."""
    if _NOT_ASCII_TEXT.search(text) is None and "\\" not in text and "[" not in text and "#" not in text:
        return text
    return "\n".join(map(_letters_of, text.split("\n")))


def unescaped(text: str) -> str:
    """Returns the text without the backslashes of JSON within JSON. For searching, not for showing."""
    return _ESCAPED.sub(lambda found: found[1] or chr(int(found[2], 16)), text)


def _letters_of(line: str) -> str:
    if "\x08" in line or "␈" in line:
        line = _overstruck(line.replace("␈", "\x08"))
    if not line.isascii() or not line.isprintable():
        line = _UNSAFE.sub("", _ESCAPES.sub("", _BREAKS.sub(" ", line)).replace("\r", ""))
    line = _SYMBOLS.sub("", _WRITTEN_ESCAPES.sub("", line))
    return line if line.isascii() else _SYMBOLS.sub("", unicodedata.normalize("NFKC", line))


def _overstruck(line: str) -> str:
    """Returns the line as a terminal shows it after its backspaces."""
    shown: list[str] = []
    for character in line:
        if character != "\x08":
            shown.append(character)
        elif shown:
            shown.pop()
    return "".join(shown)


def _printable_line(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    if "\r" in text:
        text = text.rstrip("\r").rpartition("\r")[2]
    if "\x1b" in text or "\x9b" in text or "\x9d" in text or "\x90" in text:
        text = _ESCAPES.sub("", text)
    return _UNSAFE.sub(_replacement, text)


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
