"""Sends each line of `quarterdeck console` to the bot that runs on this state directory, as `quarterdeck do` does.

So the console uses the bot's data: its history, its samples of resource usage, its jobs. The bot runs a line as the
same console user, under the same limits, with the same audit. If no bot listens, or one with other settings, the
console runs the line itself. After a line was sent, it is never sent or run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from bot.console import client_exchange, command_client, command_frames, terminal_properties
from bot.console.command_frames import FrameError, decode_object, encode
from bot.console.received_file import ReceivedFile
from core.supervise import Supervisor


class LineForwarder:
    """Sends lines to the bot. `named`: the file given by `--config`; `out`: where replies are printed, by default the
    stdout at the time when a line is run.
    """

    def __init__(
        self, supervisor: Supervisor, environ: Mapping[str, str], *, named: str = "", out: TextIO | None = None
    ) -> None:
        self._supervisor, self._environ, self._named, self._out = supervisor, environ, named, out

    async def run(self, line: str) -> Sequence[str] | None:
        """Prints the bot's reply to a line, and returns the lines of its numbered choices. Returns None if this process
        has to run the line itself: nothing was sent."""
        reached = await asyncio.to_thread(command_client.reach, self._named, self._environ)
        if reached is None:
            return None
        reached.connection.setblocking(False)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=reached.connection)
        except OSError:  # the bot has ended after its greeting
            reached.connection.close()
            return None
        try:
            return await _Line(line, reached, writer, self._out or sys.stdout).run(reader, self._supervisor)
        finally:
            writer.transport.abort()


class _Line:
    """One line that the bot runs."""

    def __init__(self, line: str, reached: command_client.Reached, writer: asyncio.StreamWriter, out: TextIO) -> None:
        self._line, self._reached, self._writer, self._out = line, reached, writer, out
        self._read_only: bool | None = None
        self._left = False
        self._file: ReceivedFile | None = None

    async def run(self, reader: asyncio.StreamReader, supervisor: Supervisor) -> Sequence[str]:
        on = terminal_properties.screen_of(self._out)
        words = [self._line]
        more = {"console": True, "verify": True}
        self._writer.write(encode(command_frames.REQUEST, command_client.request_content(words, on, more)))
        # A read ends at once. A change goes on, and the next Ctrl-C ends this process.
        with supervisor.on_interrupt(self._interrupt), contextlib.suppress(OSError, FrameError):
            while data := await reader.read(client_exchange.READ_BYTES):
                for kind, content in self._reached.decoder.feed(data):
                    if kind == command_frames.END:
                        return _choices(decode_object(content))
                    await self._handle(kind, content)
        if self._left:
            self._print("\n", self._out)
        else:
            lost = client_exchange.LOST_READ if self._read_only else client_exchange.LOST
            self._print(f"{lost}\n", sys.stderr)
        return ()

    async def _handle(self, kind: bytes, content: bytes) -> None:
        if kind == command_frames.STDOUT:
            self._print(self._text(content), self._out)
        elif kind == command_frames.STDERR:
            self._print(self._text(content), sys.stderr)
        elif kind == command_frames.ACCEPTED:
            self._read_only = decode_object(content).get("read_only") is True
        elif kind == command_frames.FILE:
            self._file = ReceivedFile(decode_object(content), [self._line], foreign=self._reached.foreign)
        elif kind == command_frames.CONTENT and self._file is not None:
            if content:
                await asyncio.to_thread(self._file.write, content)
            else:
                saved = await asyncio.to_thread(self._file.save)
                self._writer.write(encode(command_frames.SAVED, saved))
                self._file = None

    def _interrupt(self) -> None:
        if self._read_only:
            self._left = True
            self._writer.transport.abort()
        else:
            self._writer.write(encode(command_frames.INTERRUPT))

    def _text(self, content: bytes) -> str:
        text = content.decode("utf-8", "replace")
        return re.sub(client_exchange.NOT_TEXT, "", text) if self._reached.foreign else text

    def _print(self, text: str, to: TextIO) -> None:
        try:
            to.write(text)
            to.flush()
        except BrokenPipeError:
            self._writer.write(encode(command_frames.BROKEN))


def _choices(end: Mapping[str, object]) -> Sequence[str]:
    given = end.get("choices")
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else ()
