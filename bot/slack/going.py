"""What goes on, as the one message that is edited while it does: the last lines of followed logs, or how far a change
is along.

In come core.ports.Going, as fast as they like; out comes the reply that says the newest of all of them. Bounded: the
last lines are kept, the rest is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from core.model.replies import Block, Button, Lines, Reply, Text
from core.ports import Going

SHOWN = 30  # lines


class Tail:
    def __init__(self) -> None:
        self.fresh = False
        self.everyone = False
        self.follows = False
        self._lines: deque[tuple[str, str]] = deque(maxlen=SHOWN)
        self._came = 0
        self._progress: dict[str, str] = {}
        self._stops: dict[str, None] = {}

    def add(self, going: Going) -> None:
        self.fresh = True
        self.everyone = going.everyone
        if going.lines or going.skipped:
            self.follows = True
            self._came += len(going.lines) + going.skipped
            self._lines.extend((going.name, line) for line in going.lines)
        if going.progress:
            self._progress[going.name] = going.progress
        if going.stop:
            self._stops[going.stop] = None

    def blocks(self) -> Sequence[Block]:
        blocks: list[Block] = []
        if self._lines:
            several = len({name for name, _ in self._lines}) > 1
            shown = [f"{name} | {line}" if several else line for name, line in self._lines]
            older = self._came - len(shown)
            blocks.append(Lines(lines=shown, title=f"{older:,} lines came before these" if older else ""))
        said = [text if len(self._progress) == 1 else f"{name}: {text}" for name, text in self._progress.items()]
        return [*blocks, *([Text(text="\n".join(said))] if said else [])]

    def reply(self) -> Reply:
        """With a button that stops it, where it only watches: a change is not stopped halfway by a stray thumb."""
        words = [word for stop in self._stops for word in stop.removeprefix("job stop ").split()]
        stop = (Button(label="Stop", line=f"job stop {' '.join(words)}"),) if words and self.follows else ()
        return Reply(blocks=self.blocks(), buttons=stop)
