"""Decodes what runc and crun print: versions, and the reason of a failure."""

from __future__ import annotations

import re

import msgspec

_NOT_FOUND = ("container does not exist", "/status`: No such file or directory")
_VERSION = re.compile(r"^(?:runc|crun) version (\S+)", re.MULTILINE)
_SPEC = re.compile(r"^spec: (\S+)", re.MULTILINE)


def error_reason(stderr: str) -> str:
    """Why a command of the runtime failed: the last error in what it wrote with `--log-format json`."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((reason for line in reversed(lines) if (reason := _error(line))), lines[-1] if lines else "")


def exec_error(stderr: str) -> str:
    """Why the runtime could not run a program in a container; empty if the program ran and wrote this itself."""
    return _error(stderr.strip().rpartition("\n")[2])


def _error(line: str) -> str:
    try:
        entry = msgspec.json.decode(line, type=_LogLine)
    except msgspec.DecodeError:
        return ""
    return entry.msg if entry.level in ("error", "fatal", "panic") else ""


def means_not_found(reason: str) -> bool:
    return any(text in reason for text in _NOT_FOUND)


def versions(text: str) -> tuple[str, str]:
    """From the output of `--version`: the program's version and that of the OCI specification; empty if missing."""
    program, spec = _VERSION.search(text), _SPEC.search(text)
    return program[1] if program else "", spec[1] if spec else ""


class _LogLine(msgspec.Struct):
    level: str
    msg: str
    time: str
