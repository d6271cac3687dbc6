"""Shows one line with the current progress at the bottom of a terminal, and removes it again.

The line is never wider than the terminal, so one cursor movement removes it. If the output is not a terminal, nothing
is shown.
"""

from __future__ import annotations

from typing import Any

from bot import text_tables
from bot.console.terminal_properties import TerminalProperties
from core.text import sanitize

_TO_START, _ERASE = "\r", "\x1b[K"


class LiveLine:
    """The live line of one output. Whoever writes anything else to it calls `clear` first."""

    def __init__(self, out: Any, screen: TerminalProperties) -> None:
        self._out, self._screen = out, screen
        self._shown = False
        self.shown_in_place = screen.live

    def show(self, text: str) -> None:
        """Replaces the line. Raises OSError if the output is closed."""
        width = self._screen.width - 1
        line = sanitize.single_line(text)
        while line and text_tables.text_width(line) > width:
            line = line[: max(0, min(len(line) - 1, width - 1))]
        self._out.write(f"{_TO_START}{line}{_ERASE}")
        self._out.flush()
        self._shown = True

    def clear(self) -> None:
        """Removes the line, if there is one. Raises OSError if the output is closed."""
        if self._shown:
            self._shown = False
            self._out.write(f"{_TO_START}{_ERASE}")
            self._out.flush()
