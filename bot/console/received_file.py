"""Saves a file that the running bot sends to `quarterdeck do`.

The bot parsed the command, so the bot sends the path where the file is saved. If the bot belongs to another user, it
may only use a path that the caller typed: root must not write to a path that the other user chose.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from bot.console import save_download
from core import errors
from core.model.replies import Download, Reply, Text, Tone
from core.text import command_line


class ReceivedFile:
    """Collects the content of one file. `about`: `to` and `name` of the Download; `words`: what the caller typed;
    `foreign`: the bot is another user's."""

    def __init__(self, about: Mapping[str, Any], words: Sequence[str], *, foreign: bool) -> None:
        self._to, self._name = str(about.get("to", "")), str(about.get("name", ""))
        self._allowed = not foreign or _is_typed(self._to, words)
        self._content = tempfile.TemporaryFile()  # noqa: SIM115 (save_download closes it)
        self._failed = ""

    def write(self, data: bytes) -> None:
        """Adds the next part of the content."""
        if self._failed or not self._allowed:
            return
        try:
            self._content.write(data)
        except OSError as error:
            self._failed = error.strerror or str(error)

    def save(self) -> dict[str, str]:
        """Saves the file, and returns the sentence that says where it is, as the content of a SAVED frame."""
        if not self._allowed or self._failed:
            self._content.close()
        if not self._allowed:
            return _note(f"{self._to} was not written: the bot is another user's, and you did not type this path.")
        if self._failed:
            return _note(f"{self._to} was not written: {self._failed}.")
        self._content.seek(0)
        download = Download(content=self._content, to=self._to, name=self._name)
        try:
            saved = asyncio.run(save_download.save_download(Reply(blocks=(), download=download), _stdout()))
        except BrokenPipeError:
            return _note("Nobody reads the output.")
        note = saved.blocks[-1]
        assert isinstance(note, Text)
        return {"text": note.text, "tone": str(note.tone)}


def _is_typed(path: str, words: Sequence[str]) -> bool:
    try:
        typed = command_line.split_command_line(words[0]) if len(words) == 1 else words
    except errors.BadUsage:
        return False
    return path == save_download.STDOUT or any(word == path or word.endswith(f"={path}") for word in typed)


def _stdout() -> BinaryIO:
    """Returns the stream below stdout. The console replaces stdout by an object without such a stream."""
    return cast(BinaryIO, (sys.stdout if hasattr(sys.stdout, "buffer") else cast(Any, sys.__stdout__)).buffer)


def _note(text: str) -> dict[str, str]:
    return {"text": text, "tone": str(Tone.BAD)}
