"""Reads commands from a terminal and prints the replies. Each command goes through the same dispatcher as one from
chat.

The person is `console:<unix user>`. Root and the owner of the state directory are admins, because they could use the
engine's socket anyway. Buttons are printed as numbered choices; a number typed after a reply presses one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO, cast

from bot import plain_text
from bot.console import save_download, screen
from bot.dispatch.dispatcher import Dispatcher
from bot.parsing import completion, parser
from commands.catalogue import Catalogue
from core import errors
from core.model.actions import Risk
from core.model.invocation import Identity, Invocation, Place
from core.model.replies import Button, Reply
from core.ports import ActionStarted, Progress, Responder
from core.supervise import Supervisor
from core.text import sanitize

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completion
    from prompt_toolkit.document import Document

PLACE = Place(channel="console", kind="console")
MAX_DURATION = timedelta(minutes=10)  # of one command until its actions start; each action has its own timeout
EXIT_WORDS = frozenset({"exit", "quit", "logout", ":q"})
GREETING = "Type help to list the commands. Tab completes, Ctrl-D exits."


async def run_prompt(
    dispatcher: Dispatcher,
    who: Identity,
    *,
    catalogue: Catalogue,
    history: Path,
    names: Callable[[], Any],
    supervisor: Supervisor,
    out: TextIO | None = None,
) -> None:
    """Reads lines and answers them until the person leaves. Without a terminal on stdin, it reads stdin's lines."""
    out = out or sys.stdout
    choices: Sequence[Button] = ()
    lines = _read_prompt(catalogue, history, names) if sys.stdin.isatty() and out.isatty() else _read_pipe()
    async for line in lines:
        command = line.strip()
        if command.lower() in EXIT_WORDS:
            return
        if not command:
            continue
        if choices and command.isdigit() and 1 <= int(command) <= len(choices):
            command = choices[int(command) - 1].line
        try:
            inv, responder = invocation(command, who), TerminalResponder(out)
            reply = await answer(dispatcher, inv, responder, catalogue=catalogue, supervisor=supervisor)
        except errors.Refused as error:  # the process is stopping
            out.write(f"{error.full_message()}\n")
            continue
        if reply is None:
            out.write("\n")
        else:
            choices = shown_buttons(reply, out)


def identity(state: Path, uid: int | None = None) -> Identity:
    """Returns the identity of a user of this machine, by default of this process's. Root and the owner of the state
    directory are admins."""
    uid = os.getuid() if uid is None else uid
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under an id without a name
        name = str(uid)
    return Identity(id=f"console:{name}", name=name, admin=uid == 0 or _owns(state, uid))


def invocation(line: str, who: Identity, *, as_records: bool = False) -> Invocation:
    now = datetime.now(UTC)
    return Invocation(
        id=f"console-{secrets.token_hex(12)}",
        who=who,
        line=line,
        place=PLACE,
        at=now,
        deadline=now + MAX_DURATION,
        as_records=as_records,
    )


class TerminalResponder:
    """The core.ports.Responder of one command: prints progress as it arrives, then the reply."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._progress: dict[str, str] = {}

    def started(self, action: ActionStarted) -> None:
        """Prints nothing: the terminal is blocked until the reply."""

    def progress(self, progress: Progress) -> bool:
        try:
            self._print(progress)
        except OSError:  # `| head` closed the pipe
            return False
        return True

    def _print(self, progress: Progress) -> None:
        prefix = sanitize.single_line(f"{progress.name} | ") if progress.several else ""
        if progress.skipped:
            self._out.write(f"{prefix}… {progress.skipped:,} lines were left out: they arrived too fast\n")
        for line in progress.lines:
            self._out.write(prefix + sanitize.single_line(line) + "\n")
        if progress.progress and self._progress.get(progress.name) != progress.progress:
            self._progress[progress.name] = progress.progress
            self._out.write(sanitize.single_line(f"{progress.name}: {progress.progress}") + "\n")
        self._out.flush()

    async def finish(self, reply: Reply) -> None:
        await print_reply(reply, self._out)


class Interrupts(Protocol):
    """Where Ctrl-C comes from: the client of another process."""

    def warn_still_running(self) -> None:
        """Says that a change goes on."""

    def on_interrupt(self, callback: Callable[[], object], /) -> contextlib.AbstractContextManager[None]:
        """Inside this context, the first Ctrl-C calls `callback`."""


async def answer(
    dispatcher: Dispatcher,
    inv: Invocation,
    responder: Responder,
    *,
    catalogue: Catalogue,
    supervisor: Supervisor,
    interrupts: Interrupts | None = None,
) -> Reply | None:
    """Returns the reply, or None if Ctrl-C ended the command. `interrupts`: where Ctrl-C comes from, by default this
    process.

    Ctrl-C cancels a command that only reads, and the requester is not sent its outcome later. A change that has started
    goes on, also while the process stops, and this function waits for it. Raises Refused if the process is stopping.
    """
    task: asyncio.Task[Reply | None] = supervisor.start_oneshot("answer", dispatcher.answer(inv, responder))
    try:
        read_only = is_read_only(inv.line, catalogue)
        on_change = _warn_still_running if interrupts is None else interrupts.warn_still_running
        with (interrupts or supervisor).on_interrupt(task.cancel if read_only else on_change):
            await asyncio.wait([task])
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    if task.cancelled():
        if read_only:
            await dispatcher.forget(inv)
        return None
    return task.result()


def _warn_still_running() -> None:
    sys.stderr.write(screen.STILL_RUNNING)
    sys.stderr.flush()


def is_read_only(line: str, catalogue: Catalogue) -> bool:
    try:
        return parser.parse(line, catalogue).command.risk is Risk.READ
    except errors.UserError:
        return False


async def print_reply(reply: Reply, out: TextIO) -> Reply:
    """Prints a reply, and saves its file. If that file goes to the output, the reply goes to stderr. Returns the reply
    with the result of that."""
    to_stdout = reply.download is not None and reply.download.to == save_download.STDOUT
    if reply.download is not None:
        reply = await save_download.save(reply, _bytes_of(out))
    show(reply, sys.stderr if to_stdout else out)
    return reply


def _bytes_of(out: Any) -> BinaryIO:
    """Returns the stream below a text stream. While a prompt is shown, its library replaces stdout by an object
    without such a stream. Then that of the process is returned."""
    return cast(BinaryIO, (out if hasattr(out, "buffer") else cast(Any, sys.__stdout__)).buffer)


def show(reply: Reply, out: TextIO) -> None:
    out.write(shown(reply, screen.screen_of(out)) + "\n")
    out.flush()


def shown(reply: Reply, on: screen.Screen) -> str:
    """Returns the text of a reply on a screen, without a final line break."""
    return plain_text.render(reply, on.width, on.colour, offers=on.width > 0).rstrip("\n")


def shown_buttons(reply: Reply, out: TextIO) -> Sequence[Button]:
    """Returns the buttons that are printed: a program at the other end of a pipe gets no offers of what to do next."""
    return reply.buttons if out.isatty() else tuple(button for button in reply.buttons if not button.offered)


async def _read_prompt(catalogue: Catalogue, history: Path, names: Callable[[], Any]) -> AsyncIterator[str]:
    # Imported here: a process without a terminal does not need it.
    from prompt_toolkit import PromptSession  # noqa: PLC0415
    from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415
    from prompt_toolkit.history import FileHistory  # noqa: PLC0415
    from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415

    targets: Sequence[str] = ()

    class CommandCompleter(Completer):
        def get_completions(self, document: Document, complete_event: object) -> Iterable[Completion]:
            text = document.text_before_cursor
            last = "" if not text or text[-1].isspace() else text.split()[-1]
            for word in completion.complete(text, catalogue, targets):
                yield Completion(word, start_position=-len(last))

    history.touch(mode=0o600, exist_ok=True)  # noqa: ASYNC240 (once, before the first prompt)
    session: PromptSession[str] = PromptSession(
        "deck> ", history=FileHistory(str(history)), completer=CommandCompleter(), complete_while_typing=False
    )
    with patch_stdout(raw=True):
        while True:
            targets = await names()
            try:
                # The supervisor handles signals, also while a line is typed. Ctrl-C is a key here, not a signal.
                yield await session.prompt_async(handle_sigint=False)
            except KeyboardInterrupt:  # Ctrl-C clears the line, like a shell
                continue
            except EOFError:
                return


async def _read_pipe() -> AsyncIterator[str]:
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except ValueError:  # stdin is a plain file: reading it does not block
        for line in sys.stdin:
            yield line
        return
    try:
        while line := await reader.readline():
            yield line.decode("utf-8", "replace")
    finally:
        transport.close()


def _owns(state: Path, uid: int) -> bool:
    try:
        return state.stat().st_uid == uid
    except OSError:
        return False
