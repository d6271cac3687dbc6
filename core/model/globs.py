"""Matches names with globs, as `fnmatch.fnmatchcase` does, and keeps thousands of compiled patterns.

The standard library keeps only 256, so that a few hundred silences would be compiled anew for each incident.
"""

from __future__ import annotations

import fnmatch
import functools
import re

MAX_COMPILED = 8_192
_SPECIAL = frozenset("*?[")


def matches(name: str, pattern: str) -> bool:
    """Whether the whole name matches the glob. Upper and lower case differ."""
    return name == pattern if is_name(pattern) else _compiled(pattern).match(name) is not None


def is_name(pattern: str) -> bool:
    """Whether the glob matches only the name that it is."""
    return _SPECIAL.isdisjoint(pattern)


@functools.lru_cache(maxsize=MAX_COMPILED)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
