"""Builds the message that Slack shows while a command runs: the last lines of a followed log, the progress of a change,
or its outcome while the started containers are verified.

ProgressMessage collects values of core.ports.Progress, and can return the current reply at any time. It holds as many
of the last lines as fit into one Slack message, and only counts the older lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from bot.slack import markup
from core.model.replies import Block, Button, Lines, Reply, Text
from core.ports import Progress, Watched
from core.text import redact, sanitize

MAX_LINES = 30
MAX_PROGRESS = 10  # targets whose progress is shown
MAX_LINE_WIDTH = 400  # characters
# Of all lines, in characters and in bytes of JSON, so that a message edited every second never needs a file.
MAX_TEXT, MAX_BYTES = 3_000, 7_000


class ProgressMessage:
    """Collects the progress of one command. `changed`: there is progress that was not sent yet. `read_only`: logs are
    followed. `everyone`: the requester wants everybody to see it. `doing`: what a change does, such as “restarting
    web…”. `ticking`: the newest progress only shows that time goes by."""

    def __init__(self) -> None:
        self.changed = False
        self.doing = ""
        self.ticking = False
        self._outcome: Watched | None = None
        self.everyone = False
        self.read_only = False
        self._lines: deque[tuple[str, str]] = deque(maxlen=MAX_LINES)
        self._received = 0
        self._names: dict[str, None] = {}
        self._progress: dict[str, str] = {}
        self._stop_lines: dict[str, None] = {}

    def add(self, progress: Progress) -> None:
        self.changed = True
        self.everyone, self.ticking = progress.everyone, progress.ticking
        self.read_only = self.read_only or progress.read_only
        self._received += len(progress.lines) + progress.skipped
        self._lines.extend((progress.name, line) for line in progress.lines[-MAX_LINES:])
        self._names[progress.name] = None
        if progress.progress:
            self._progress[progress.name] = progress.progress
        if progress.stop:
            self._stop_lines[progress.stop] = None

    def set_outcome(self, watched: Watched) -> None:
        """Sets the outcome of the change, which is shown from now on."""
        self.changed, self.ticking = True, False
        self._outcome = watched

    def reply(self) -> Reply:
        """Returns the current state as a reply. Followed logs and an outcome have a Stop button, which ends the
        following or the watching. A change has none, so that nobody stops it halfway by accident."""
        if (watched := self._outcome) is not None:
            stop_button = Button(label="Stop watching", line=watched.stop)
            return replace(watched.reply, buttons=(*watched.reply.buttons, stop_button))
        jobs = [job for line in self._stop_lines for job in line.removeprefix("job stop ").split()]
        stop = (Button(label="Stop", line=f"job stop {' '.join(jobs)}"),) if jobs and self.read_only else ()
        blocks = self.blocks() or (Text(text=f"Following {', '.join(self._names)}. No lines yet."),)
        return Reply(blocks=blocks, buttons=stop)

    def blocks(self) -> Sequence[Block]:
        blocks: list[Block] = []
        if self._lines:
            shown = self._newest_lines()
            older = self._received - len(shown)
            title = f"{older:,} earlier {'lines are' if older > 1 else 'line is'} not shown" if older else ""
            # Redacted as one text, because a secret may be split over several lines.
            blocks.append(Lines(lines=redact.redact("\n".join(shown)).split("\n"), title=title))
        progress = [text if len(self._progress) == 1 else f"{name}: {text}" for name, text in self._progress.items()]
        if len(progress) > MAX_PROGRESS:
            progress = [*progress[:MAX_PROGRESS], f"and {len(progress) - MAX_PROGRESS} more"]
        doing = f"{self.doing} " if self.doing and len(self._progress) == 1 else f"{self.doing}\n" if self.doing else ""
        return [*blocks, *([Text(text=doing + "\n".join(progress))] if progress else [])]

    def _newest_lines(self) -> list[str]:
        """The newest lines that fit, oldest first."""
        shown: list[str] = []
        left, left_bytes = MAX_TEXT, MAX_BYTES
        for name, line in reversed(self._lines):
            text = sanitize.single_line(f"{name} | {line}" if len(self._names) > 1 else line, MAX_LINE_WIDTH)
            left -= len(text) + 1
            left_bytes -= markup.size(text) + 2
            if left < 0 or left_bytes < 0:
                break
            shown.insert(0, text)
        return shown
