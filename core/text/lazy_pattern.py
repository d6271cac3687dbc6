"""Compiles a regular expression when it is first used.

To compile the patterns that detect secrets takes a fifth of the time of a start. Most texts need only a few of them: a
pattern is used only if the text contains its hint, a short word. After the first use, a pattern is as fast as a
compiled one. A test compiles all of them.
"""

from __future__ import annotations

import re
from typing import Any, cast

_METHODS = ("finditer", "findall", "fullmatch", "match", "search", "split", "sub", "subn")


class LazyPattern:
    """A regular expression that is not compiled yet."""

    def __init__(self, expression: str, flags: int) -> None:
        self._expression, self._flags = expression, flags

    def __getattr__(self, name: str) -> Any:
        """Compiles the expression. Its methods are found at once from now on, and not here."""
        if name.startswith("__"):
            raise AttributeError(name)
        compiled = re.compile(self._expression, self._flags)
        self.__dict__.update({method: getattr(compiled, method) for method in _METHODS})
        return getattr(compiled, name)


def compile_later(expression: str, flags: int = 0) -> re.Pattern[str]:
    """Returns a pattern as `re.compile` does. A mistake in it is raised at its first use."""
    return cast("re.Pattern[str]", LazyPattern(expression, flags))
