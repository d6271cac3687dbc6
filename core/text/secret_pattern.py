"""Defines SecretPattern: how one kind of secret is found in a line and masked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from core.lazy_dataclass import dataclass

# What may enclose a whole text: quotes, brackets, and the signs with which chats and documents mark words. They belong
# into a class of a regular expression.
OPENING_SIGNS = r"\"'`(\[{<*~|«‹“„「"
CLOSING_SIGNS = r"\"'`)\]}>*~»›”“」"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPattern:
    """One kind of secret in one line. `hints` are lower case; `find` can only change a line that contains one of them.
    `find` takes a line and returns it with the secrets masked."""

    hints: Sequence[str]
    find: Callable[[str], str]


def by_regex(
    hints: str | Sequence[str], pattern: re.Pattern[str], mask: Callable[[re.Match[str]], str] | str
) -> SecretPattern:
    """Returns the kind of secret that a regular expression finds. `hints` may be one text, separated by spaces."""
    words = tuple(hints.split()) if isinstance(hints, str) else tuple(hints)
    replace = _expansion(mask) if isinstance(mask, str) else mask
    return SecretPattern(hints=words, find=lambda line: pattern.sub(replace, line))


def _expansion(template: str) -> Callable[[re.Match[str]], str] | str:
    r"""Returns a function for a template such as `\1••••`: `re` parses a template again in each call."""
    number = template[1:2]
    if template[:1] != "\\" or not number.isdecimal():
        return template
    rest, group = template[2:], int(number)
    return lambda match: f"{match[group]}{rest}"
