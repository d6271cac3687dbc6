"""Parses the limits of a container as they are typed: memory, processors and processes."""

from __future__ import annotations

import re

from core import errors
from core.model.rename_and_update import UNLIMITED
from core.text import command_line

# The words that remove a limit.
NONE = ("unlimited", "0", "-1")
_SIZE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?(?:[bkmgt]b?)?", re.IGNORECASE)
_CPUS = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,3})?")
_PIDS = re.compile(r"[1-9][0-9]{0,8}")


def parse_memory(text: str | None) -> str:
    """Returns a size such as `512m`; empty if none was typed. Raises BadUsage."""
    return _matching(_SIZE, "--memory", text, "a size such as 512m or 2g")


def memory_bytes(text: str | None) -> int:
    """Returns a size in bytes, with units as powers of 1024, or UNLIMITED; 0 if none was typed. Raises BadUsage."""
    if text in NONE:
        return UNLIMITED
    if not (size := parse_memory(text).lower().rstrip("b")):
        return 0
    power = "kmgt".find(size[-1]) + 1
    return int(float(size[:-1] if power else size) * 1024**power)


def cpus(text: str | None) -> float:
    """Returns a number of processors; 0 if none was typed. Raises BadUsage."""
    return float(_matching(_CPUS, "--cpus", text, "a number such as 0.5 or 2") or 0)


def changed_cpus(text: str | None) -> float:
    """Returns a number of processors, or UNLIMITED; 0 if none was typed. Raises BadUsage."""
    return UNLIMITED if text in NONE else cpus(text)


def pids(text: str | None) -> int:
    """Returns the most processes, or UNLIMITED; 0 if none was typed. Raises BadUsage."""
    if text in NONE:
        return UNLIMITED
    return int(_matching(_PIDS, "--pids-limit", text, "a number such as 200, or unlimited") or 0)


def _matching(pattern: re.Pattern[str], option: str, text: str | None, what: str) -> str:
    if text and not pattern.fullmatch(text):
        raise errors.BadUsage(f"{option} cannot be “{command_line.abbreviate(text)}”.", hint=f"Write {what}.")
    return text or ""
