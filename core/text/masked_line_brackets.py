"""Restores closing quotes and brackets after a masked secret: `["PASSWORD=••••` becomes `["PASSWORD=••••"]`.

A value without quotes may itself contain quotes and brackets. So the patterns mask everything up to the next blank.
This module restores only characters that close a visible open quote or bracket before the mask. It restores no other
character. The work on a line grows linearly with its length.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later

MAX_SIGNS = 64  # at the end of one masked text
_PAIRS = {"]": "[", "}": "{", ")": "("}
# An apostrophe within a word is not a quote.
_SIGN = compile_later(r"(?<![A-Za-z0-9])'|'(?![A-Za-z0-9])|\\{0,15}[\"`]|\\{1,15}'|[\[\](){}]")
_TAIL = compile_later(r"(?:\\{0,15}[\"'`]|[\])},;])+\Z")
_TAIL_SIGN = compile_later(r"\\{0,15}[\"'`]|[\])},;]")


def restore_brackets(before: str, after: str) -> str:
    """Returns the masked line `after`, with its closing quotes and brackets. `before`: the same line before it was
    masked.
    """
    first, *rest = after.split(MASK)
    if not rest or not before.startswith(first):
        return after
    shown, at = [first], len(first)
    opened: list[str] = []
    _open(opened, first)
    for number, piece in enumerate(rest, start=1):
        # The last piece is the end of the line, any other one the next place where it occurs.
        end = len(before) - len(piece) if number == len(rest) else before.find(piece, at)
        if end < at or not before.startswith(piece, end):
            return "".join([*shown, *(f"{MASK}{one}" for one in rest[number - 1 :])])
        masked = before[max(at, end - MAX_SIGNS) : end]
        signs = _escapes(opened, masked, piece[:1]) or _closing(opened, masked)
        shown += [MASK, signs, piece]
        _open(opened, signs + piece)
        at = end + len(piece)
    return "".join(shown)


def _open(opened: list[str], text: str) -> None:
    """Adds to `opened` what this text opens, and removes what it closes."""
    for found in _SIGN.finditer(text):
        sign = found[0]
        if sign in "[{(":
            opened.append(sign)
        elif sign in _PAIRS:
            if opened and opened[-1] == _PAIRS[sign]:
                opened.pop()
        elif not _close(opened, sign):
            opened.append(sign)


def _close(opened: list[str], sign: str) -> bool:
    """Closes a quote, and all brackets inside it. Returns False if it is not open."""
    for at in range(len(opened) - 1, -1, -1):
        if opened[at] == sign:
            del opened[at:]
            return True
        if opened[at] not in _PAIRS.values():
            return False  # another quote is open inside it
    return False


def _escapes(opened: Sequence[str], masked: str, following: str) -> str:
    """Returns the backslashes at the end of a masked text, if they belong to the quote that follows it."""
    backslashes = masked[len(masked.rstrip("\\")) :]
    return backslashes if backslashes and following and backslashes + following in opened else ""


def _closing(opened: Sequence[str], masked: str) -> str:
    """Returns the longest end of a masked text that only closes what is open."""
    tail = _TAIL.search(masked)
    if tail is None or not opened:
        return ""
    signs = _TAIL_SIGN.findall(tail[0])
    for at in range(len(signs)):
        if _only_closes(list(opened), signs[at:]):
            return "".join(signs[at:])
    return ""


def _only_closes(opened: list[str], signs: Sequence[str]) -> bool:
    for number, sign in enumerate(signs):
        if sign in ",;":
            if not number:
                return False
        elif sign in _PAIRS:
            if not opened or opened.pop() != _PAIRS[sign]:
                return False
        elif not _close(opened, sign):
            return False
    return True
