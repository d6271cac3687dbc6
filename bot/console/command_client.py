"""Sends one command of `quarterdeck do` to the bot that runs on this state directory, and shows the bot's answer.

The bot runs the command as if this process ran it: as the same console user, under the same limits, with the same
audit. `send` returns None, and sends nothing, if this process should run the command itself. That is so if no bot
listens, if the bot has other settings, another version or another user, or if it does not send its greeting in time.
After the request was sent, nothing is ever sent twice.

This module imports few modules, so that the process starts fast; `typing`, `pathlib` and `dataclasses` are not among
them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
import time

from bot.console import caller_settings, terminal_properties
from bot.console.client_exchange import READ_BYTES, ClientExchange
from bot.console.command_frames import (
    FROM_BOT,
    GREETING,
    PROTOCOL,
    REQUEST,
    SOCKET,
    Decoder,
    FrameError,
    decode_object,
    encode,
)
from core.version import installed_version

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CONNECT_SECONDS = 1.0
GREETING_SECONDS = 2.0  # then the bot hangs, and this process runs the command itself


class Request:
    """One command of `quarterdeck do`: its `words`, and the options. `named`: the file given by `--config`."""

    __slots__ = ("as_json", "named", "verify", "words", "yes")

    def __init__(
        self, words: list[str], *, named: str = "", as_json: bool = False, yes: bool = False, verify: bool = False
    ) -> None:
        self.words = words
        self.named = named
        self.as_json = as_json
        self.yes = yes
        self.verify = verify


class Reached:
    """A connection to a bot that may run this process's commands. `foreign`: the bot is another user's."""

    __slots__ = ("connection", "decoder", "foreign")

    def __init__(self, connection: socket.socket, decoder: Decoder) -> None:
        self.connection = connection
        self.decoder = decoder
        self.foreign = peer_uid(connection) not in (0, os.geteuid())


def send(request: Request, environ: Mapping[str, str]) -> int | None:
    """Runs a command through the running bot, and returns its exit code. Returns None if this process has to run the
    command itself."""
    reached = reach(request.named, environ)
    if reached is None:
        return None
    with reached.connection:
        more = {"json": request.as_json, "yes": request.yes, "verify": request.verify}
        content = request_content(request.words, terminal_properties.screen_of(sys.stdout), more)
        talk = ClientExchange(reached.connection, reached.decoder, request.words, foreign=reached.foreign)
        return talk.run(encode(REQUEST, content))


def reach(named: str, environ: Mapping[str, str]) -> Reached | None:
    """Returns a connection to the bot that runs here, after its greeting. Returns None if no bot runs here, or if it
    does not agree with this process. `named`: the file given by `--config`. Blocks for a few seconds at most."""
    settings = caller_settings.read(named, environ)
    connection = _connect(settings.state) if settings.state else None
    if connection is None:
        return None
    decoder = Decoder(FROM_BOT)
    try:
        if _accepts(_greeting(connection, decoder), settings):
            return Reached(connection, decoder)
    except OSError:
        pass
    connection.close()
    return None


def request_content(
    words: list[str], shown: terminal_properties.TerminalProperties, more: Mapping[str, bool]
) -> dict[str, Any]:
    """Returns the content of a REQUEST. `shown`: the screen of the reply; `more`: the options."""
    return {
        "words": words,
        "width": shown.width,
        "zone": shown.zone,
        "colour": shown.colour,
        "live": shown.live,
        **more,
    }


def _connect(state: str) -> socket.socket | None:
    """Returns a connection to the bot of a state directory, if the server there belongs to this user or, for root, to
    the owner of a directory that only root and that owner can replace."""
    try:
        folder = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        owner = os.fstat(folder).st_uid
        if not stat.S_ISSOCK(os.stat(SOCKET, dir_fd=folder, follow_symlinks=False).st_mode):
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(OSError):
            connection.settimeout(CONNECT_SECONDS)
            # By the descriptor: the path may be longer than the address of a socket can be.
            connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            if _is_trusted(peer_uid(connection), owner, state):
                return connection
        connection.close()
        return None
    except OSError:
        return None
    finally:
        os.close(folder)


def peer_uid(connection: socket.socket) -> int:
    """Returns the user id of the process at the other end. Raises OSError where the system does not report it."""
    if not hasattr(socket, "SO_PEERCRED"):
        raise OSError(errno.ENOTSUP, "the system does not report the user at the other end of a socket")
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", data)[1])


def _is_trusted(server: int, owner: int, state: str) -> bool:
    if server == os.geteuid():
        return True
    if os.geteuid() != 0 or server != owner:
        return False
    from pathlib import Path  # noqa: PLC0415 (only root beside another user's bot needs these)

    from core import trusted_files  # noqa: PLC0415

    # The owner of this directory may answer root only if root, and nobody else, decided that it is the directory.
    return not trusted_files.find_reason_for_distrust(Path(state).parent)


def _greeting(connection: socket.socket, decoder: Decoder) -> Mapping[str, Any]:
    """Returns the bot's greeting; empty if it does not come in time."""
    ends = time.monotonic() + GREETING_SECONDS
    with contextlib.suppress(OSError, FrameError):
        while (left := ends - time.monotonic()) > 0:
            connection.settimeout(left)
            data = connection.recv(READ_BYTES)
            for kind, content in decoder.feed(data):
                return decode_object(content) if kind == GREETING else {}
            if not data:
                break
    return {}


def _accepts(greeting: Mapping[str, Any], settings: caller_settings.CallerSettings) -> bool:
    if greeting.get("v") != PROTOCOL or greeting.get("version") != installed_version():
        return False
    found = os.stat(settings.state)
    if greeting.get("state") != [found.st_dev, found.st_ino]:  # a link to the socket of another bot
        return False
    sources = greeting.get("sources")
    return isinstance(sources, dict) and caller_settings.agree(settings.sources, sources)
