"""Converts the names of Linux signals to numbers, because container runtimes accept different names."""

from __future__ import annotations

import re
import signal

from core import errors

_REALTIME = re.compile(r"RT(?:MIN\+|MAX-)([0-9]{1,2})")


def parse_signal_number(name: str) -> int:
    """Returns the number of `KILL`, `SIGKILL`, `kill`, `9`, `RTMIN+3` or `RTMAX-2`. Raises BadUsage."""
    text = name.strip(" ").upper()
    if text.isascii() and text.isdecimal() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    short = text.removeprefix("SIG")
    if realtime := _REALTIME.fullmatch(short):
        offset = int(realtime[1])
        found = signal.SIGRTMIN + offset if short.startswith("RTMIN") else signal.SIGRTMAX - offset
        if signal.SIGRTMIN <= found <= signal.SIGRTMAX:
            return int(found)
    elif known := signal.Signals.__members__.get(f"SIG{short}"):
        return int(known)
    raise errors.BadUsage(f"“{name[:32]}” is not a signal.", hint="Write one such as TERM, KILL, HUP or USR1.")
