"""Describes the terminal that shows a reply: its width and its colours. Also defines the message for Ctrl-C.

This module imports few modules, so that `quarterdeck do` starts fast if a bot runs already.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from typing import TextIO

PIPE_WIDTH = 0  # no limit: a program reads whole cells
DEFAULT_WIDTH = 100  # columns of a terminal that does not report them
MAX_WIDTH = 10_000
ZONES = "/usr/share/zoneinfo"
STILL_RUNNING = "\nThe change is running and is waited for. Press Ctrl-C again to exit without its outcome.\n"


class TerminalProperties:
    """`width`: terminal columns, 0 for no limit; `colour`: whether to use ANSI colours; `live`: whether a line can be
    replaced after it was written; `zone`: the reader's time zone, such as `Europe/Berlin` or `+01:00`."""

    __slots__ = ("colour", "live", "width", "zone")

    def __init__(self, width: int, *, colour: bool, live: bool = False, zone: str = "") -> None:
        self.width = width
        self.colour = colour
        self.live = live
        self.zone = zone


def screen_of(out: TextIO) -> TerminalProperties:
    """Returns the screen of an open text stream."""
    if not out.isatty():
        return TerminalProperties(PIPE_WIDTH, colour=False, zone=local_zone())
    live = os.environ.get("TERM", "") not in ("", "dumb")
    return TerminalProperties(_columns(), colour="NO_COLOR" not in os.environ, live=live, zone=local_zone())


def local_zone() -> str:
    """Returns the name of this process's time zone, such as `Europe/Berlin`, or its offset if it has no known name."""
    given = os.environ.get("TZ", "").removeprefix(":")
    name = given or os.path.realpath("/etc/localtime").rpartition("/zoneinfo/")[2]
    if name and name[0] != "/" and os.path.isfile(os.path.join(ZONES, name)):
        return name
    offset = time.strftime("%z")
    return f"{offset[:3]}:{offset[3:5]}"


def _columns() -> int:
    """Returns the columns of this process's terminal, as `shutil.get_terminal_size` does."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return min(int(given), MAX_WIDTH)
    try:
        assert sys.__stdout__ is not None
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or DEFAULT_WIDTH
    except (AssertionError, AttributeError, OSError, ValueError):
        return DEFAULT_WIDTH
