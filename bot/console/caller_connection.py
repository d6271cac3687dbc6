"""Runs the command that one `quarterdeck do` process sent over the command socket, and sends back the text that a
terminal would show.

If the caller disconnects, a read is cancelled, and a change continues to its recorded end. Three things are limited:
the time until a request, the size of the request, and the output that waits for a slow reader. Lines of a followed log
that do not fit are skipped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from bot import app as composition
from bot import plain_text
from bot.console import command_frames, one_command_runner, terminal, terminal_properties, terminal_responder
from bot.console.command_frames import Decoder, FrameError, encode, encode_text
from bot.console.terminal_properties import MAX_WIDTH, TerminalProperties
from core import errors, tasks
from core.lazy_dataclass import dataclass
from core.model.replies import Download, Ending, Reply, Text, Tone
from core.ports import ActionStarted, Progress, Watched

log = structlog.get_logger(__name__)
REQUEST_SECONDS = 5.0  # from the greeting to the whole request
STALL_SECONDS = 60.0  # how long a caller may take nothing of what it is sent
MAX_WAITING = 8 << 20  # bytes of progress for one caller
MAX_ZONE = 64  # characters
PART_BYTES = 256 << 10  # of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """What one caller asks for. `words`: the command, as its shell split it; `verify`: to watch what it starts;
    `console`: the caller is a console, which numbers the choices of a reply."""

    words: Sequence[str]
    as_json: bool
    yes: bool
    verify: bool
    console: bool
    screen: TerminalProperties


class CallerConnection:
    """One caller and its command. Its end is the caller's Ctrl-C."""

    def __init__(
        self, app: composition.App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uid: int
    ) -> None:
        self._app, self._reader, self._writer, self._uid = app, reader, writer, uid
        self._decoder = Decoder(command_frames.FROM_CLIENT, command_frames.MAX_REQUEST)
        self._on_interrupt: list[Callable[[], object]] = []
        self._saved: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self.broken = self._left = False
        self._choices: Sequence[str] = ()

    async def serve(self, greeting: Mapping[str, Any]) -> None:
        """Greets, waits for the request, and answers it. Raises FrameError, TimeoutError and OSError."""
        try:
            self._writer.write(encode(command_frames.GREETING, greeting))
            async with asyncio.timeout(REQUEST_SECONDS):
                request = await self._request()
            if request is not None:
                await self._serve(request)
            await self._close()
        except BaseException:
            self._writer.transport.abort()
            raise

    async def _serve(self, request: CommandRequest) -> None:
        listening = tasks.start("command_socket caller", self._listen())
        try:
            code = await self._answer(request)
            self._writer.write(encode(command_frames.END, {"code": code, "choices": self._choices}))
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            self._saved.cancel()

    @contextlib.contextmanager
    def on_interrupt(self, callback: Callable[[], object]) -> Iterator[None]:
        """Inside this context, the caller's Ctrl-C or the end of the connection calls `callback`."""
        if self._left:
            callback()
        self._on_interrupt.append(callback)
        try:
            yield
        finally:
            self._on_interrupt.remove(callback)

    @property
    def waiting(self) -> int:
        """The bytes that the caller has not taken yet."""
        return self._writer.transport.get_write_buffer_size()

    def write(self, kind: bytes, text: str) -> None:
        """Sends text, without waiting. Raises BrokenPipeError if nobody reads it any more."""
        if self.broken:
            raise BrokenPipeError
        self._writer.write(encode_text(kind, text))

    async def _request(self) -> CommandRequest | None:
        """Returns the request; None if the caller left, which it does if it runs the command itself."""
        while data := await self._reader.read(command_frames.MAX_REQUEST):
            for kind, content in self._decoder.feed(data):
                if kind != command_frames.REQUEST:
                    raise FrameError("the first frame is not a request")
                return _request_of(command_frames.decode_object(content))
        return None

    async def _listen(self) -> None:
        """Handles what the caller sends while its command runs."""
        try:
            while data := await self._reader.read(command_frames.MAX_REQUEST):
                for kind, content in self._decoder.feed(data):
                    if kind == command_frames.BROKEN:
                        self.broken = True
                    elif kind == command_frames.INTERRUPT:
                        self._interrupt()
                    elif kind == command_frames.SAVED and not self._saved.done():
                        self._saved.set_result(command_frames.decode_object(content))
        except (OSError, FrameError) as error:
            log.debug("The connection of a caller to the command socket was lost.", reason=str(error))
        self.broken = self._left = True
        if not self._saved.done():
            self._saved.set_result({"text": "The caller left before its file was saved.", "tone": Tone.BAD})
        self._interrupt()

    def _interrupt(self) -> None:
        for callback in list(self._on_interrupt):
            callback()

    def warn_still_running(self) -> None:
        """Says at Ctrl-C that a change goes on. Does nothing if the caller has left."""
        with contextlib.suppress(BrokenPipeError):
            self.write(command_frames.STDERR, terminal_properties.STILL_RUNNING)

    async def _answer(self, request: CommandRequest) -> int:
        out = _Output(self, command_frames.STDOUT)
        responder = one_command_runner.responder_for(out, request.screen, as_json=request.as_json)
        paced = responder if request.as_json else _PacedResponder(responder, self)
        try:
            ask = functools.partial(self._ask, request)
            reply = await one_command_runner.run(ask, one_command_runner.line_of(request.words), paced, yes=request.yes)
        except errors.Refused as error:  # the process is stopping
            self.write(command_frames.STDERR, f"{error.full_message()}\n")
            return plain_text.EXIT[Ending.REFUSED]
        if reply is None:
            return one_command_runner.INTERRUPTED
        streams = one_command_runner.Streams(
            out=out, err=_Output(self, command_frames.STDERR), screen=request.screen, save=self._save
        )
        try:
            if request.console:
                self._choices = [button.line for button in terminal_responder.shown_buttons(reply, request.screen)]
            hint = not request.console
            return await one_command_runner.print_reply(reply, streams, as_json=request.as_json, hint=hint)
        except BrokenPipeError:
            return one_command_runner.code_of(reply)

    async def _ask(
        self, request: CommandRequest, line: str, responder: terminal_responder.ConsoleResponder
    ) -> Reply | None:
        app = self._app
        read_only = terminal.is_read_only(line, app.catalogue)
        self._writer.write(encode(command_frames.ACCEPTED, {"read_only": read_only}))
        who = terminal.identity(app.config.state, self._uid, request.screen.zone)
        inv = terminal.invocation(line, who, as_records=request.as_json, verify=request.verify)
        return await terminal.answer(
            app.dispatcher, inv, responder, catalogue=app.catalogue, supervisor=app.supervisor, interrupts=self
        )

    async def _save(self, reply: Reply) -> Reply:
        """Sends the file of a reply, and returns the reply with what the caller did with it."""
        download = reply.download
        assert download is not None
        with download.content:
            await self._send_file(download)
        note = await self._saved
        tone = Tone.BAD if note.get("tone") == Tone.BAD else Tone.GOOD if note.get("tone") == Tone.GOOD else Tone.PLAIN
        ending = Ending.FAILED if tone is Tone.BAD else reply.ending
        text = Text(text=str(note.get("text", ""))[: command_frames.MAX_REQUEST], tone=tone)
        return replace(reply, blocks=(*reply.blocks, text), ending=ending, download=None)

    async def _send_file(self, download: Download) -> None:
        self._writer.write(encode(command_frames.FILE, {"to": download.to, "name": download.name}))
        while not self.broken and (part := await asyncio.to_thread(download.content.read, PART_BYTES)):
            self._writer.write(encode(command_frames.CONTENT, part))
            await self._drain()
        self._writer.write(encode(command_frames.CONTENT))

    async def _drain(self) -> None:
        """Waits until the caller has taken most of what was sent. Raises TimeoutError if it does not."""
        async with asyncio.timeout(STALL_SECONDS):
            await self._writer.drain()

    async def _close(self) -> None:
        """Waits until the caller has taken all that was sent. Raises TimeoutError if it takes nothing more."""
        self._writer.close()
        closed = tasks.start_awaited("command_socket close", self._writer.wait_closed())
        try:
            while not closed.done():
                waiting = self.waiting
                await asyncio.wait([closed], timeout=STALL_SECONDS)
                if not closed.done() and self.waiting >= waiting:
                    raise TimeoutError
            await closed
        finally:
            closed.cancel()


class _Output:
    """One stream of the caller."""

    def __init__(self, connection: CallerConnection, kind: bytes) -> None:
        self._connection, self._kind = connection, kind

    def write(self, text: str, /) -> None:
        self._connection.write(self._kind, text)

    def flush(self) -> None:
        """Does nothing: what was written is being sent."""


class _PacedResponder:
    """Leaves out the progress that a slow reader has no room for, and reports its lines with the next progress."""

    def __init__(self, responder: terminal_responder.TerminalResponder, connection: CallerConnection) -> None:
        self._responder, self._connection = responder, connection
        self._skipped = 0

    def started(self, action: ActionStarted) -> None:
        self._responder.started(action)

    def progress(self, progress: Progress) -> bool:
        if self._connection.waiting > MAX_WAITING and not self._connection.broken:
            self._skipped += len(progress.lines) + progress.skipped
            return True
        skipped, self._skipped = self._skipped, 0
        return self._responder.progress(replace(progress, skipped=progress.skipped + skipped))

    def watching(self, watched: Watched) -> None:
        self._responder.watching(watched)

    def is_private(self) -> bool:
        return self._responder.is_private()

    @property
    def end_watching(self) -> Callable[[], None] | None:
        return self._responder.end_watching

    async def finish(self, reply: Reply) -> None:
        await self._responder.finish(reply)


def _request_of(content: Mapping[str, Any]) -> CommandRequest:
    """Returns a request. Raises FrameError if a value is not what it has to be."""
    words, width = content.get("words"), content.get("width")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise FrameError("the request has no words")
    if not isinstance(width, int) or not 0 <= width <= MAX_WIDTH:
        raise FrameError("the request has no width")
    zone = content.get("zone")
    if not isinstance(zone, str) or len(zone) > MAX_ZONE:
        raise FrameError("the request has no time zone")
    flags = {name for name in ("json", "yes", "verify", "console", "colour", "live") if content.get(name) is True}
    return CommandRequest(
        words=tuple(words),
        as_json="json" in flags,
        yes="yes" in flags,
        verify="verify" in flags,
        console="console" in flags,
        screen=TerminalProperties(width, colour="colour" in flags, live="live" in flags, zone=zone),
    )
