"""Finds the lines of a log that look like errors, by the words that programs and their libraries write.

A line looks like an error if it has a word such as `ERROR`, `fatal`, `panic`, `Traceback` or `ValueError`. The indented
lines after it, such as a stack trace, belong to it. This is a guess: programs may call their errors otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.model.results import LogLine

MAX_SEARCHED = 2_000  # characters of a line
_WORD = re.compile(
    # Not a part of a path or a name, such as /error.html, and not `err=nil`.
    r"(?<![/.\w-])(?i:error|err|fatal|panic|critical|crit|severe|emerg|traceback|exception|failed|segfault)\b"
    r"(?!/|\.\w|[=:]\s?(?:<nil>|nil\b|null\b|none\b|None\b|false\b|0\b|\"\"))"
)
_CLASS = re.compile(r"\b[A-Za-z]{1,64}(?:Error|Exception)\b")
_KLOG = re.compile(r"[EF][0-9]{4} [0-9]{2}:")  # as Kubernetes writes it: E1130 14:05:…
_CONTINUES = re.compile(r"\s|\.\.\. [0-9]+ more|Caused by: |at [\w.$]+\(")


def find_error_lines(lines: Sequence[LogLine]) -> list[LogLine]:
    """Returns the lines that look like errors, each with the lines that continue it, in the order given."""
    found: list[LogLine] = []
    continued: dict[str, bool] = {}  # by stream: the line before belongs to an error
    for line in lines:
        text = line.text[:MAX_SEARCHED]
        part = bool(_CONTINUES.match(text)) and continued.get(line.stream, False)
        continued[line.stream] = part or is_error(text)
        if continued[line.stream]:
            found.append(line)
    return found


def is_error(text: str) -> bool:
    return bool(_WORD.search(text) or _CLASS.search(text) or _KLOG.match(text))
