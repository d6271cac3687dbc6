"""Implements the client side of `quarterdeck do` after its request: prints the bot's output, saves a received file, and
returns the exit code.

Up to MAX_BUFFERED bytes of output are buffered, so that a slow pager does not block the bot. The first Ctrl-C cancels a
read. It does not cancel a change: the bot only reports that the change continues. The second Ctrl-C exits without
waiting for the outcome. This module imports few modules, so that the process starts fast.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import sys
from collections import deque

from bot.console.command_frames import (
    ACCEPTED,
    BROKEN,
    CONTENT,
    END,
    FILE,
    INTERRUPT,
    SAVED,
    STDERR,
    STDOUT,
    Decoder,
    FrameError,
    decode_object,
    encode,
)

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from typing import Any

MAX_BUFFERED = 64 << 20
READ_BYTES = 256 << 10
WRITE_BYTES = select.PIPE_BUF  # so much fits without waiting if a pipe is reported as writable
INTERRUPTED = 130
FAILED, UNKNOWN = 5, 6  # as in bot.plain_text.EXIT
NOT_TEXT = re.compile(r"\x1b(?!\[[0-9;]{0,8}[mK])|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
LOST_READ = "The bot ended before it answered. The command changes nothing: give it again."
LOST = (
    "The bot ended before it answered, so it is not known whether the command ran. Check"
    " with: quarterdeck do audit\nIf the command was a change, the bot reports after its"
    " restart that the outcome is unknown."
)


class ClientExchange:
    """Handles what the bot sends after one request. `words`: what the caller typed; `foreign`: the bot is another
    user's.
    """

    def __init__(self, connection: socket.socket, decoder: Decoder, words: list[str], *, foreign: bool) -> None:
        self._connection, self._decoder, self._words = connection, decoder, words
        self._foreign = foreign
        encoding = (getattr(sys.stdout, "encoding", "") or "utf-8").lower().replace("_", "-")
        self._encoding = "" if encoding in ("utf-8", "utf8") else encoding
        self._output: deque[tuple[int, bytes]] = deque()
        self._buffered = 0
        self._read_only: bool | None = None
        self._interrupts = 0
        self._code: int | None = None
        self._file: Any = None
        self._broken: set[int] = set()

    def run(self, request: bytes) -> int | None:
        """Sends the request, and returns the exit code. Returns None if it was not sent: the bot ended after its
        greeting, and runs no request that is not whole."""
        self._connection.settimeout(None)
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker)
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            try:
                self._connection.sendall(request)
            except OSError:
                return None
            return self._exchange(woken)
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, before)
            os.close(woken)
            os.close(waker)

    def _exchange(self, woken: int) -> int:
        while True:
            if self._code is not None and not self._output:
                return self._code
            events = dict(self._poll(woken))
            if woken in events and os.read(woken, 1024).count(signal.SIGINT) and self._interrupted():
                return INTERRUPTED
            if self._output and self._output[0][0] in events:
                self._write()
            if self._connection.fileno() in events and self._code is None and not self._receive():
                return self._lost()

    def _poll(self, woken: int) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        if self._code is None and self._buffered < MAX_BUFFERED:
            poll.register(self._connection.fileno(), select.POLLIN)
        if self._output:
            poll.register(self._output[0][0], select.POLLOUT)
        return poll.poll()

    def _interrupted(self) -> bool:
        """Handles Ctrl-C. Returns whether to end at once: closing the connection ends a read."""
        self._interrupts += 1
        if self._read_only or self._interrupts > 1 or self._code is not None:
            return True
        self._send(encode(INTERRUPT))
        return False

    def _receive(self) -> bool:
        """Handles what the bot sent. Returns False if the connection was closed."""
        try:
            data = self._connection.recv(READ_BYTES)
            for kind, content in self._decoder.feed(data):
                self._handle(kind, content)
        except (OSError, FrameError):
            return False
        return bool(data)

    def _handle(self, kind: bytes, content: bytes) -> None:
        if kind == STDOUT:
            self._queue(1, self._printable(content))
        elif kind == STDERR:
            self._queue(2, self._printable(content))
        elif kind == ACCEPTED:
            self._read_only = decode_object(content).get("read_only") is True
        elif kind == FILE:
            from bot.console.received_file import ReceivedFile  # noqa: PLC0415 (few commands send a file)

            self._flush()  # what the bot printed comes before what is printed about the file
            self._file = ReceivedFile(decode_object(content), self._words, foreign=self._foreign)
        elif kind == CONTENT and self._file is not None:
            if content:
                self._file.write(content)
            else:
                self._send(encode(SAVED, self._file.save()))
                self._file = None
        elif kind == END:
            code = decode_object(content).get("code")
            self._code = code if isinstance(code, int) else FAILED

    def _printable(self, content: bytes) -> bytes:
        """Returns a text for this terminal. The bot of another user could send more than text and colours to root."""
        if not self._foreign and not self._encoding:
            return content
        text = content.decode("utf-8", "replace")
        if self._foreign:
            text = NOT_TEXT.sub("", text)
        return text.encode(self._encoding or "utf-8", "replace")

    def _queue(self, to: int, data: bytes) -> None:
        if to not in self._broken and data:
            self._output.append((to, data))
            self._buffered += len(data)

    def _write(self) -> None:
        """Writes as much of the output as is taken at once."""
        to, data = self._output.popleft()
        try:
            written = os.write(to, data[:WRITE_BYTES])
        except BlockingIOError:
            written = 0
        except OSError:  # `| head` closed the pipe
            self._buffered -= len(data)
            self._broken.add(to)
            self._buffered -= sum(len(rest) for where, rest in self._output if where == to)
            self._output = deque((where, rest) for where, rest in self._output if where != to)
            if to == 1:
                self._send(encode(BROKEN))
            return
        self._buffered -= written
        if written < len(data):
            self._output.appendleft((to, data[written:]))

    def _flush(self) -> None:
        while self._output:
            poll = select.poll()
            poll.register(self._output[0][0], select.POLLOUT)
            poll.poll()
            self._write()

    def _send(self, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # the end of the connection is seen where it is read
            self._connection.sendall(frame)

    def _lost(self) -> int:
        self._flush()
        self._queue(2, f"{LOST_READ if self._read_only else LOST}\n".encode())
        self._flush()
        return FAILED if self._read_only else UNKNOWN
