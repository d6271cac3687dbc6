"""Reads lines at the console: typed by a person, or from stdin of a program.

The prompt is printed before the rest of the console is imported, so that people can type at once. The completion
function is set later.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completion
    from prompt_toolkit.document import Document

GREETING = "Type help to list the commands. Tab completes, Ctrl-D exits."
MAX_LINE = 1 << 20  # bytes of a line in a pipe


class Prompt:
    """The lines of one console. `history`: the file that keeps them. `on_terminal`: a person sees the prompt;
    `complete`: returns the words that may follow what is typed; `painted`: set once the prompt is on the screen, or
    where there is no terminal."""

    def __init__(self, history: Path, out: TextIO | None = None) -> None:
        self._history = history
        self.on_terminal = sys.stdin.isatty() and (out or sys.stdout).isatty()
        self.complete: Callable[[str], Iterable[str]] = lambda typed: ()
        self.painted = asyncio.Event()

    async def lines(self) -> AsyncIterator[str]:
        """Yields each line, until the person leaves or the program closes the pipe."""
        if self.on_terminal:
            async for line in self._typed():
                yield line
            return
        self.painted.set()
        async for line in _piped():
            yield line

    async def _typed(self) -> AsyncIterator[str]:
        # Imported here: a process without a terminal does not need it.
        from prompt_toolkit import PromptSession  # noqa: PLC0415
        from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415
        from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415

        prompt = self

        class CommandCompleter(Completer):
            def get_completions(self, document: Document, complete_event: object) -> Iterable[Completion]:
                text = document.text_before_cursor
                last = "" if not text or text[-1].isspace() else text.split()[-1]
                for word in prompt.complete(text):
                    yield Completion(word, start_position=-len(last))

        session: PromptSession[str] = PromptSession(
            "deck> ", history=self._open_history(), completer=CommandCompleter(), complete_while_typing=False
        )
        session.app.after_render += lambda app: self.painted.set()
        with patch_stdout(raw=True):
            while True:
                try:
                    # The supervisor handles signals, also while a line is typed. Ctrl-C is a key here, not a signal.
                    yield await session.prompt_async(handle_sigint=False)
                except KeyboardInterrupt:  # Ctrl-C clears the line, like a shell
                    continue
                except EOFError:
                    return

    def _open_history(self) -> Any:
        from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415

        try:
            self._history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._history.touch(mode=0o600, exist_ok=True)
        except OSError:  # the store reports what is wrong with the directory
            return InMemoryHistory()
        return FileHistory(str(self._history))


async def _piped() -> AsyncIterator[str]:
    reader = asyncio.StreamReader(limit=MAX_LINE)
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
