"""Shows the progress and the reply of one command on a terminal, or writes them to a pipe."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol, TextIO, cast

from bot import plain_text
from bot.console import live_line, save_download, terminal_properties
from core.model import typed_times
from core.model.replies import Button, Reply, Text
from core.ports import ActionStarted, Progress, Responder, Watched
from core.text import sanitize, text_timestamps

TICK_SECONDS = 10.0  # between two lines that only show that time goes by


class ConsoleResponder(Responder, Protocol):
    """A Responder of a console. `end_watching`: ends the watching after a change, while there is one."""

    @property
    def end_watching(self) -> Callable[[], None] | None: ...


class TerminalResponder:
    """The core.ports.Responder of one command: prints progress as it arrives, then the reply.

    In a terminal, one line at the bottom shows what is going on now, and disappears. Elsewhere each step is a line.
    `end_watching`: ends the watching after a change, while there is one.
    """

    def __init__(self, out: Any, on: terminal_properties.TerminalProperties | None = None) -> None:
        """`on`: the screen that shows the output, by default that of an open text stream."""
        self._out = out
        self._live = live_line.LiveLine(out, on or terminal_properties.screen_of(out))
        self._progress: dict[str, str] = {}
        self._doing = ""
        self._next_tick = 0.0
        self.end_watching: Callable[[], None] | None = None

    def started(self, action: ActionStarted) -> None:
        """Prints nothing: the terminal is blocked until the reply."""
        self._doing = action.doing

    def progress(self, progress: Progress) -> bool:
        try:
            self._print(progress)
        except OSError:  # `| head` closed the pipe
            return False
        return True

    def watching(self, watched: Watched) -> None:
        first, self.end_watching = self.end_watching is None, watched.end
        sentences = [block.text for block in watched.reply.blocks if isinstance(block, Text)]
        with contextlib.suppress(OSError):
            if self._live.shown_in_place:
                self._live.show(f"{' '.join(sentences)} (Ctrl-C ends the watching)")
            elif first:
                self._out.write(sanitize.single_line(" ".join(sentences)) + "\n")
                self._out.flush()

    def is_private(self) -> bool:
        return True

    def _print(self, progress: Progress) -> None:
        if self._live.shown_in_place and progress.progress and not progress.lines:
            doing = f"{self._doing} {progress.name} … " if self._doing else f"{progress.name}: "
            self._live.show(doing + progress.progress)
            return
        if progress.ticking and (progress.read_only or not self._is_due()):
            return
        self._live.clear()
        prefix = sanitize.single_line(f"{progress.name} | ") if progress.several else ""
        if progress.skipped:
            self._out.write(f"{prefix}… {progress.skipped:,} lines were left out: they arrived too fast\n")
        for line in progress.lines:
            self._out.write(prefix + sanitize.single_line(line) + "\n")
        if progress.progress and self._progress.get(progress.name) != progress.progress:
            self._progress[progress.name] = progress.progress
            self._out.write(sanitize.single_line(f"{progress.name}: {progress.progress}") + "\n")
        self._out.flush()

    def _is_due(self) -> bool:
        """Whether the next line of a sentence that comes each second may be written where lines stay."""
        now = time.monotonic()
        if now < self._next_tick:
            return False
        self._next_tick = now + TICK_SECONDS
        return True

    def clear(self) -> None:
        """Removes what shows the progress, before the reply."""
        with contextlib.suppress(OSError):
            self._live.clear()

    async def finish(self, reply: Reply) -> None:
        self.clear()
        await print_reply(reply, self._out)


async def print_reply(reply: Reply, out: TextIO) -> Reply:
    """Prints a reply, and saves its file. If that file goes to the output, the reply goes to stderr. Returns the reply
    with the result of that."""
    to_stdout = reply.download is not None and reply.download.to == save_download.STDOUT
    if reply.download is not None:
        reply = await save_download.save_download(reply, _bytes_of(out))
    show(reply, sys.stderr if to_stdout else out)
    return reply


def _bytes_of(out: Any) -> BinaryIO:
    """Returns the stream below a text stream. While a prompt is shown, its library replaces stdout by an object
    without such a stream. Then that of the process is returned."""
    return cast(BinaryIO, (out if hasattr(out, "buffer") else cast(Any, sys.__stdout__)).buffer)


def show(reply: Reply, out: TextIO) -> None:
    out.write(shown(reply, terminal_properties.screen_of(out)) + "\n")
    out.flush()


def shown(reply: Reply, on: terminal_properties.TerminalProperties) -> str:
    """Returns the text of a reply on a screen, without a final line break."""
    now = datetime.now(UTC) if on.width else None
    zone = typed_times.find_zone(on.zone) if on.zone else None
    return plain_text.render(
        reply, on.width, on.colour, offers=on.width > 0, clock=lambda at: text_timestamps.format_local(at, now, zone)
    ).rstrip("\n")


def shown_buttons(reply: Reply, on: terminal_properties.TerminalProperties) -> Sequence[Button]:
    """Returns the buttons that are printed: a program at the other end of a pipe gets no offers of what to do next."""
    return reply.buttons if on.width else tuple(button for button in reply.buttons if not button.offered)
