"""Decodes the error output of runc and crun: why a command failed.

With `--log-format json`, each error is a JSON object. runc and crun write it on one line; crun 1.28 writes it over
several lines.
"""

from __future__ import annotations

import json
import re

_NOT_FOUND = re.compile(r"container (?:`[^`]*` )?does not exist|/status`: No such file or directory")
_DECODER = json.JSONDecoder(strict=False)
_BRACE = re.compile(r"^\{", re.MULTILINE)
MAX_OBJECTS = 20
"""How many objects are looked at, from the last one."""


def error_reason(stderr: str) -> str:
    """Returns why a command failed: the last error in its output with `--log-format json`, else the last line."""
    found = (_error(stderr, begin)[0] for begin in _starts(stderr))
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next(filter(None, found), lines[-1] if lines else "")


def exec_error(stderr: str) -> str:
    """Returns why the runtime could not run a program in a container. Empty if the program ran and wrote this output
    itself."""
    for begin in _starts(stderr)[:1]:
        reason, end = _error(stderr, begin)
        return reason if not stderr[end:].strip() else ""
    return ""


def means_not_found(reason: str) -> bool:
    """Returns whether a reason means that the container does not exist."""
    return _NOT_FOUND.search(reason) is not None


def _starts(text: str) -> list[int]:
    """Returns where lines begin with a brace, from the last one."""
    return [match.start() for match in _BRACE.finditer(text)][: -MAX_OBJECTS - 1 : -1]


def _error(text: str, begin: int) -> tuple[str, int]:
    """Returns the error that begins at a position, and the position of its end. Empty if it is none."""
    try:
        entry, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return "", begin
    fields = [entry.get(name) for name in ("level", "msg", "time")]
    level, message, _ = fields
    if not all(isinstance(field, str) for field in fields) or level not in ("error", "fatal", "panic"):
        return "", end
    return str(message).encode("utf-8", "replace").decode(), end
