"""What goes on, as the one message that is edited while it does: the last lines of followed logs, or how far a change
is along.

In come core.ports.Progress, as fast as they like; out comes the reply that says the newest of all of them. Bounded: the
last lines are kept, as many as always fit into one message, the rest is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from core.model.replies import Block, Button, Lines, Reply, Text
from core.ports import Progress
from core.text import redact, sanitize

SHOWN = 30  # lines
WIDEST = 400  # characters of one line
ROOM = 3_000  # characters of all: a message that is edited every second never has a file


class ProgressMessage:
    def __init__(self) -> None:
        self.fresh = False
        self.everyone = False
        self.follows = False
        self._lines: deque[tuple[str, str]] = deque(maxlen=SHOWN)
        self._came = 0
        self._names: dict[str, None] = {}
        self._progress: dict[str, str] = {}
        self._stops: dict[str, None] = {}

    def add(self, going: Progress) -> None:
        self.fresh = True
        self.everyone = going.everyone
        self.follows = self.follows or going.read_only
        self._came += len(going.lines) + going.skipped
        self._lines.extend((going.name, line) for line in going.lines[-SHOWN:])
        self._names[going.name] = None
        if going.progress:
            self._progress[going.name] = going.progress
        if going.stop:
            self._stops[going.stop] = None

    def blocks(self) -> Sequence[Block]:
        blocks: list[Block] = []
        if self._lines:
            shown = self._shown()
            older = self._came - len(shown)
            title = f"{older:,} {'lines' if older > 1 else 'line'} came before these" if older else ""
            # As one text, as lines come in bits.
            blocks.append(Lines(lines=redact.redact("\n".join(shown)).split("\n"), title=title))
        said = [text if len(self._progress) == 1 else f"{name}: {text}" for name, text in self._progress.items()]
        return [*blocks, *([Text(text="\n".join(said))] if said else [])]

    def _shown(self) -> list[str]:
        """The newest lines that fit."""
        shown: list[str] = []
        room = ROOM
        for name, line in reversed(self._lines):
            text = sanitize.single_line(f"{name} | {line}" if len(self._names) > 1 else line, WIDEST)
            room -= len(text) + 1
            if room < 0:
                break
            shown.insert(0, text)
        return shown

    def reply(self) -> Reply:
        """With a button that stops it, where it only watches: a change is not stopped halfway by a stray thumb."""
        words = [word for stop in self._stops for word in stop.removeprefix("job stop ").split()]
        stop = (Button(label="Stop", line=f"job stop {' '.join(words)}"),) if words and self.follows else ()
        blocks = self.blocks() or (Text(text=f"Following {', '.join(self._names)}; nothing came yet."),)
        return Reply(blocks=blocks, buttons=stop)
