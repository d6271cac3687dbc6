"""Defines SecretPattern: how one kind of secret is found in a line and masked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


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
    return SecretPattern(hints=words, find=lambda line: pattern.sub(mask, line))
