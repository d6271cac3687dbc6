"""Decodes the error output of runc and crun: why a command failed."""

from __future__ import annotations

import msgspec

_NOT_FOUND = ("container does not exist", "/status`: No such file or directory")


def error_reason(stderr: str) -> str:
    """Returns why a command failed: the last error in its output with `--log-format json`."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((reason for line in reversed(lines) if (reason := _error(line))), lines[-1] if lines else "")


def exec_error(stderr: str) -> str:
    """Returns why the runtime could not run a program in a container. Empty if the program ran and wrote this output
    itself."""
    return _error(stderr.strip().rpartition("\n")[2])


def _error(line: str) -> str:
    try:
        entry = msgspec.json.decode(line, type=_LogLine)
    except msgspec.DecodeError:
        return ""
    return entry.msg if entry.level in ("error", "fatal", "panic") else ""


def means_not_found(reason: str) -> bool:
    """Returns whether a reason means that the container does not exist."""
    return any(text in reason for text in _NOT_FOUND)


class _LogLine(msgspec.Struct):
    level: str
    msg: str
    time: str
