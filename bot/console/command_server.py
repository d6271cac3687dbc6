"""Answers `quarterdeck do` on the private socket of the state directory, in the process of the running bot.

The kernel reports the user at the other end of the socket. Only root and the bot's own user are answered. The caller's
command runs through the dispatcher as if the caller's own process had built it: with the same identity, limits and
audit. The number of callers is limited; more callers run their commands themselves.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from bot import app as composition
from bot.console import command_client, command_frames, command_socket
from bot.console.caller_connection import CallerConnection
from bot.console.command_frames import FrameError
from core import errors
from core.repeated_log import RepeatedLog
from core.version import installed_version

log = structlog.get_logger(__name__)
MAX_CONNECTIONS = 16
RETRY_SECONDS = 5.0  # between two attempts to take over the socket
PRESENT_SECONDS = 30.0  # between two checks that the socket still has its name
HINT = "`quarterdeck do` runs commands itself meanwhile, which is slower."


class CommandServer:
    """Listens on the socket of one state directory, and answers its callers. `sources`: where the bot's settings come
    from (`caller_settings`)."""

    def __init__(self, app: composition.App, sources: Mapping[str, Any]) -> None:
        self._app, self.sources = app, sources
        self._state: Path = app.config.state
        self._connections = 0
        self._failures, self._refusals = RepeatedLog(), RepeatedLog()

    async def run(self) -> None:
        """Answers callers until it is cancelled. While another process of the state directory listens, it waits."""
        while True:
            try:
                with command_socket.opened(self._state) as opened:
                    if opened is not None:
                        self._failures.ended()
                        await self._listen(opened)
            except OSError as error:
                self._report(error)
            await asyncio.sleep(RETRY_SECONDS)

    def _report(self, error: OSError) -> None:
        """Logs why there is no socket. A directory of another user is usual where the store runs elsewhere."""
        reason = f"{self._state} cannot be used: {error.strerror or error}."
        if self._failures.due(reason):
            usual = isinstance(error, PermissionError)
            (log.info if usual else log.warning)("The command socket could not be opened.", reason=reason, hint=HINT)

    async def _listen(self, opened: command_socket.CommandSocket) -> None:
        """Accepts callers as long as the socket has its name in the state directory."""
        loop = asyncio.get_running_loop()
        while opened.present:
            try:
                async with asyncio.timeout(PRESENT_SECONDS):
                    caller, _ = await loop.sock_accept(opened.listener)
            except TimeoutError:
                continue
            self._accept(caller, opened.state)

    def _accept(self, caller: socket.socket, state: Sequence[int]) -> None:
        try:
            uid = command_client.peer_uid(caller)
            if uid not in (0, os.geteuid()):
                if self._refusals.due(str(uid)):
                    log.warning("The command socket refused a command of another user.", uid=uid)
            elif self._connections < MAX_CONNECTIONS:
                self._app.supervisor.start_oneshot("command socket", self._serve(caller, uid, state))
                return
        except (OSError, errors.Refused):  # it is gone, or this process is stopping
            pass
        caller.close()  # it runs the command itself

    async def _serve(self, caller: socket.socket, uid: int, state: Sequence[int]) -> None:
        self._connections += 1
        try:
            with caller:
                caller.setblocking(False)
                reader, writer = await asyncio.open_unix_connection(sock=caller)
                await CallerConnection(self._app, reader, writer, uid).serve(self._greeting(state))
        except (OSError, FrameError, TimeoutError) as error:
            log.debug("A connection to the command socket failed.", reason=str(error))
        finally:
            self._connections -= 1

    def _greeting(self, state: Sequence[int]) -> Mapping[str, Any]:
        return {
            "v": command_frames.PROTOCOL,
            "version": installed_version(),
            "state": list(state),
            "sources": self.sources,
        }
