"""The terminal as a place to talk: lines in, replies out, on the same road as any chat.

Whoever sits here is `console:<unix user>`, an admin if the state directory is theirs or they are root: they could use
the engine's socket anyway. Buttons are numbered choices; a number typed after a reply presses one.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bot import plain_text
from bot.dispatch.dispatcher import Dispatcher
from bot.parsing import parser
from commands.catalogue import Catalogue
from core import errors
from core.model.actions import Risk
from core.model.identity import Identity, Invocation, Place
from core.model.replies import Button, Reply
from core.ports import ActionStarted, Progress, Responder
from core.supervise import Supervisor
from core.text import sanitize

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completion
    from prompt_toolkit.document import Document

PLACE = Place(channel="console", kind="console")
PATIENCE = timedelta(minutes=10)  # an upper bound; each action has its own
LEAVE = frozenset({"exit", "quit", "logout", ":q"})
GREETING = "Say help to see what you can say; Tab completes, Ctrl-D leaves."


def identity(state: Path) -> Identity:
    """Who this process runs for. An admin owns the state directory or is root."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under an id without a name
        name = str(uid)
    return Identity(id=f"console:{name}", name=name, admin=uid == 0 or _owns(state, uid))


def invocation(line: str, who: Identity) -> Invocation:
    now = datetime.now(UTC)
    return Invocation(
        id=f"console-{secrets.token_hex(12)}", who=who, line=line, place=PLACE, at=now, deadline=now + PATIENCE
    )


async def converse(
    dispatcher: Dispatcher,
    who: Identity,
    *,
    catalogue: Catalogue,
    history: Path,
    names: Callable[[], Any],
    supervisor: Supervisor,
    out: TextIO | None = None,
) -> None:
    """Talks until the person leaves. Without a terminal on stdin, lines are read from it as they are."""
    out = out or sys.stdout
    choices: Sequence[Button] = ()
    lines = _typed(catalogue, history, names) if sys.stdin.isatty() and out.isatty() else _piped()
    async for line in lines:
        word = line.strip()
        if word.lower() in LEAVE:
            return
        if not word:
            continue
        if choices and word.isdigit() and 1 <= int(word) <= len(choices):
            word = choices[int(word) - 1].line
        try:
            way = Terminal(out)
            reply = await answer(dispatcher, invocation(word, who), way, catalogue=catalogue, supervisor=supervisor)
        except errors.Refused as error:  # it is stopping
            out.write(f"{error.full_message()}\n")
            continue
        if reply is None:
            out.write("\n")
        else:
            choices = reply.buttons


class Terminal:
    """The core.ports.Responder of one line: what goes on is printed as it comes, the reply when it is there."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._progress: dict[str, str] = {}

    def started(self, beginning: ActionStarted) -> None:
        """A terminal that waits needs no telling."""

    def progress(self, going: Progress) -> bool:
        try:
            self._print(going)
        except OSError:  # `| head` has seen enough
            return False
        return True

    def _print(self, going: Progress) -> None:
        head = sanitize.single_line(f"{going.name} | ") if going.several else ""
        if going.skipped:
            self._out.write(f"{head}… {going.skipped:,} lines came faster than they could be shown\n")
        for line in going.lines:
            self._out.write(head + sanitize.single_line(line) + "\n")
        if going.progress and self._progress.get(going.name) != going.progress:
            self._progress[going.name] = going.progress
            self._out.write(sanitize.single_line(f"{going.name}: {going.progress}") + "\n")
        self._out.flush()

    async def finish(self, reply: Reply) -> None:
        show(reply, self._out)


async def answer(
    dispatcher: Dispatcher, inv: Invocation, talk: Responder, *, catalogue: Catalogue, supervisor: Supervisor
) -> Reply | None:
    """The reply; None where Ctrl-C ended it, and then nothing is told about it later. That ends only what looks: a
    change that began goes on and is waited for, also when the process is stopped. Raises Refused when it is stopping
    already."""
    task: asyncio.Task[Reply | None] = supervisor.start_oneshot("answer", dispatcher.answer(inv, talk))
    try:
        looks = _only_looks(inv.line, catalogue)
        with supervisor.on_interrupt(task.cancel if looks else still_at_it):
            await asyncio.wait([task])
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    if task.cancelled():
        if looks:
            await dispatcher.forget(inv)
        return None
    return task.result()


def still_at_it() -> None:
    sys.stderr.write("\nIt is under way and is waited for; Ctrl-C again leaves, and then nobody knows how it ended.\n")
    sys.stderr.flush()


def _only_looks(line: str, catalogue: Catalogue) -> bool:
    try:
        return parser.parse(line, catalogue).command.risk is Risk.READ
    except errors.UserError:
        return False


def show(reply: Reply, out: TextIO) -> None:
    colour = out.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size((100, 24)).columns if out.isatty() else 200
    out.write(plain_text.render(reply, width, colour).rstrip("\n") + "\n")
    out.flush()


async def _typed(catalogue: Catalogue, history: Path, names: Callable[[], Any]) -> AsyncIterator[str]:
    # Loaded here: a process without a terminal never needs it.
    from prompt_toolkit import PromptSession  # noqa: PLC0415
    from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415
    from prompt_toolkit.history import FileHistory  # noqa: PLC0415
    from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415

    known: Sequence[str] = ()

    class Words(Completer):
        def get_completions(self, document: Document, complete_event: object) -> Iterable[Completion]:
            text = document.text_before_cursor
            last = "" if not text or text[-1].isspace() else text.split()[-1]
            for found in parser.complete(text, catalogue, known):
                yield Completion(found, start_position=-len(last))

    history.touch(mode=0o600, exist_ok=True)  # noqa: ASYNC240 (once, before anything waits)
    session: PromptSession[str] = PromptSession(
        "deck> ", history=FileHistory(str(history)), completer=Words(), complete_while_typing=False
    )
    with patch_stdout(raw=True):
        while True:
            known = await names()
            try:
                # A signal from outside is the supervisor's, also while a line is typed; Ctrl-C is a key there.
                yield await session.prompt_async(handle_sigint=False)
            except KeyboardInterrupt:  # Ctrl-C clears the line, as in a shell
                continue
            except EOFError:
                return


async def _piped() -> AsyncIterator[str]:
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except ValueError:  # a plain file is no pipe and never makes one wait
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
