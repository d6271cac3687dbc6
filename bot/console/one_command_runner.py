"""Runs one command of `quarterdeck do`, and prints its reply to the streams of the requester.

The streams belong to this process or to a client of the running bot (`command_server`), so both print the same. A
question is confirmed at once if the requester passed `--yes`; otherwise the reply explains how to confirm it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from bot import plain_text
from bot.console import save_download, terminal_responder
from bot.console.terminal_properties import TerminalProperties
from bot.dispatch import reply_limits
from core.lazy_dataclass import dataclass
from core.model.replies import Ending, Reply
from core.ports import Progress, Watched
from core.text.command_line import quote

LARGE = 50_000  # characters, that take some milliseconds to render
INTERRUPTED = 130  # what a shell reports for SIGINT
Answer = Callable[[str, terminal_responder.ConsoleResponder], Awaitable[Reply | None]]
"""Answers one command line; None if Ctrl-C ended it."""


class TextOutput(Protocol):
    """A stream for text."""

    def write(self, text: str, /) -> Any: ...

    def flush(self) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Where the requester reads. `save`: saves the file of a reply on the requester's machine, and returns the reply
    with the result of that."""

    out: TextOutput
    err: TextOutput
    screen: TerminalProperties
    save: Callable[[Reply], Awaitable[Reply]]


def line_of(words: Sequence[str]) -> str:
    """Returns the command line: one argument (`do "rm -f web"`) or several, as the shell split it (`do rm -f web`)."""
    return words[0] if len(words) == 1 else quote(words)


async def run(answer: Answer, line: str, responder: terminal_responder.ConsoleResponder, *, yes: bool) -> Reply | None:
    """Returns the reply to a command, and with `yes` to the confirmation of its question."""
    reply = await answer(line, responder)
    if reply is not None and reply.ending is Ending.ASKED and yes:
        reply = await answer(reply.buttons[0].line, responder)
    return reply


def responder_for(
    out: TextOutput, screen: TerminalProperties, *, as_json: bool
) -> terminal_responder.TerminalResponder:
    """Returns the responder of a single command, whose reply `print_reply` prints."""
    return _Silent(out, screen) if as_json else ProgressOnly(out, screen)


async def print_reply(reply: Reply, streams: Streams, *, as_json: bool, hint: bool = True) -> int:
    """Prints a reply, saves its file, and returns the exit code. `hint`: also say how to confirm from a shell."""
    # Where the file itself is printed, what is said about it must not be mixed with it.
    to_stdout = reply.download is not None and reply.download.to == save_download.STDOUT
    out = streams.err if to_stdout else streams.out
    if reply.download is not None:
        reply = await streams.save(reply)
    text = await _text(reply, streams.screen, as_json=as_json)
    out.write(f"{text}\n")
    if reply.ending is Ending.ASKED and hint and not as_json:
        out.write(f'To confirm: quarterdeck do "{reply.buttons[0].line}"  (or pass --yes next time)\n')
    out.flush()
    return code_of(reply)


def code_of(reply: Reply) -> int:
    """Returns the exit code of a reply."""
    return plain_text.EXIT[reply.ending]


async def _text(reply: Reply, screen: TerminalProperties, *, as_json: bool) -> str:
    """Renders a reply. A large one is rendered in a thread, so that the event loop of a running bot does not wait. So
    are records, whatever their number."""

    def render() -> str:
        return plain_text.to_json(reply) if as_json else terminal_responder.shown(reply, screen)

    is_small = reply.records is None and reply_limits.reply_size(reply) < LARGE
    return render() if is_small else await asyncio.to_thread(render)


class ProgressOnly(terminal_responder.TerminalResponder):
    """Prints progress, and not the reply."""

    async def finish(self, reply: Reply) -> None:
        """Prints nothing more."""
        self.clear()


class _Silent(ProgressOnly):
    """Prints no progress either: those lines would not be JSON."""

    def progress(self, progress: Progress) -> bool:
        return True

    def watching(self, watched: Watched) -> None:
        self.end_watching = watched.end
