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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, TextIO

from bot.console import terminal_properties, terminal_responder
from bot.dispatch.dispatcher import Dispatcher
from bot.parsing import parser
from commands.catalogue import Catalogue
from core import errors
from core.model.actions import Risk
from core.model.invocation import Identity, Invocation, Place
from core.model.replies import Reply
from core.supervise import Supervisor

PLACE = Place(channel="console", kind="console")
MAX_DURATION = timedelta(minutes=10)  # of one command until its actions start; each action has its own timeout
EXIT_WORDS = frozenset({"exit", "quit", "logout", ":q"})


async def run_prompt(
    dispatcher: Dispatcher,
    who: Identity,
    *,
    catalogue: Catalogue,
    lines: AsyncIterator[str],
    supervisor: Supervisor,
    out: TextIO | None = None,
    elsewhere: Callable[[str], Awaitable[Sequence[str] | None]] | None = None,
) -> None:
    """Answers lines until the person leaves. `elsewhere`: lets another process run a line; it returns the lines of the
    reply's choices, or None if the line was not run."""
    out = out or sys.stdout
    choices: Sequence[str] = ()
    async for line in lines:
        command = line.strip()
        if command.lower() in EXIT_WORDS:
            return
        if not command:
            continue
        if choices and command.isdigit() and 1 <= int(command) <= len(choices):
            command = choices[int(command) - 1]
        if elsewhere is not None and (offered := await elsewhere(command)) is not None:
            choices = offered
            continue
        try:
            inv, responder = invocation(command, who), terminal_responder.TerminalResponder(out)
            reply = await answer(dispatcher, inv, responder, catalogue=catalogue, supervisor=supervisor)
        except errors.Refused as error:  # the process is stopping
            out.write(f"{error.full_message()}\n")
            continue
        if reply is None:
            out.write("\n")
        else:
            shown = terminal_responder.shown_buttons(reply, terminal_properties.screen_of(out))
            choices = [button.line for button in shown]


def identity(state: Path, uid: int | None = None, zone: str = "") -> Identity:
    """Returns the identity of a user of this machine, by default of this process's. Root and the owner of the state
    directory are admins. `zone`: the time zone of that user's terminal, by default this process's."""
    uid = os.getuid() if uid is None else uid
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under an id without a name
        name = str(uid)
    return Identity(
        id=f"console:{name}",
        name=name,
        admin=uid == 0 or _owns(state, uid),
        zone=zone or terminal_properties.local_zone(),
    )


def invocation(line: str, who: Identity, *, as_records: bool = False, verify: bool = True) -> Invocation:
    """`verify`: what a change starts is watched after it."""
    now = datetime.now(UTC)
    return Invocation(
        id=f"console-{secrets.token_hex(12)}",
        who=who,
        line=line,
        place=PLACE,
        at=now,
        deadline=now + MAX_DURATION,
        as_records=as_records,
        verify=verify,
    )


class Interrupts(Protocol):
    """Where Ctrl-C comes from: the client of another process."""

    def warn_still_running(self) -> None:
        """Says that a change goes on."""

    def on_interrupt(self, callback: Callable[[], object], /) -> contextlib.AbstractContextManager[None]:
        """Inside this context, the first Ctrl-C calls `callback`."""


async def answer(
    dispatcher: Dispatcher,
    inv: Invocation,
    responder: terminal_responder.ConsoleResponder,
    *,
    catalogue: Catalogue,
    supervisor: Supervisor,
    interrupts: Interrupts | None = None,
) -> Reply | None:
    """Returns the reply, or None if Ctrl-C ended the command. `interrupts`: where Ctrl-C comes from, by default this
    process.

    Ctrl-C cancels a command that only reads, and the requester is not sent its outcome later. A change that has started
    goes on, also while the process stops, and this function waits for it. Once a change has ended, Ctrl-C only ends the
    watching of what it started. Raises Refused if the process is stopping.
    """

    def interrupt_change() -> None:
        if responder.end_watching is not None:
            responder.end_watching()
        elif interrupts is not None:
            interrupts.warn_still_running()
        else:
            _warn_still_running()

    task: asyncio.Task[Reply | None] = supervisor.start_oneshot("answer", dispatcher.answer(inv, responder))
    try:
        read_only = is_read_only(inv.line, catalogue)
        with (interrupts or supervisor).on_interrupt(task.cancel if read_only else interrupt_change):
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
    sys.stderr.write(terminal_properties.STILL_RUNNING)
    sys.stderr.flush()


def is_read_only(line: str, catalogue: Catalogue) -> bool:
    try:
        return parser.parse(line, catalogue).command.risk is Risk.READ
    except errors.UserError:
        return False


def _owns(state: Path, uid: int) -> bool:
    try:
        return state.stat().st_uid == uid
    except OSError:
        return False
