"""Matches names with globs, as `fnmatch.fnmatchcase` does, and caches thousands of compiled patterns.

The standard library caches only 256, so a few hundred silences would be compiled again for each incident.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Sequence

MAX_COMPILED = 8_192
_SPECIAL = frozenset("*?[")


def matches(name: str, pattern: str) -> bool:
    """Whether the whole name matches the glob. Upper and lower case differ."""
    return name == pattern if is_name(pattern) else _compiled(pattern).match(name) is not None


def is_name(pattern: str) -> bool:
    """Whether the glob matches only the name that it is."""
    return _SPECIAL.isdisjoint(pattern)


def any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """Returns a pattern whose `match` finds whether one of these globs matches a whole name."""
    return _any_of(tuple(dict.fromkeys(patterns)))


@functools.lru_cache(maxsize=16)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)))


@functools.lru_cache(maxsize=MAX_COMPILED)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
