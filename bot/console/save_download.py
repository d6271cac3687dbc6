"""Saves the file of a reply on the machine of the console, or prints its content.

The file is written under a temporary name in the same folder and then renamed, so that no incomplete file has the final
name. Only its owner may read it, whatever permissions it had in the container. If something exists under the final
name, it is replaced only if it is an ordinary file.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from core.model.replies import Download, Ending, Reply, Text, Tone

STDOUT = "-"
SAVE_SECONDS = 600.0


async def save_download(reply: Reply, stdout: BinaryIO) -> Reply:
    """Returns the reply with a sentence about where its file is. Never raises an OSError, except BrokenPipeError."""
    download = reply.download
    if download is None:
        return reply
    try:
        async with asyncio.timeout(SAVE_SECONDS):
            note = await asyncio.to_thread(_save, download, stdout)
    except BrokenPipeError:
        raise
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or str(error) or f"it took longer than {SAVE_SECONDS:.0f} s"
        note = Text(text=f"{download.to} was not written: {reason}.", tone=Tone.BAD)
    ending = reply.ending if note.tone is not Tone.BAD else Ending.FAILED
    return replace(reply, blocks=(*reply.blocks, note), ending=ending, download=None)


def _plain(name: str) -> str:
    """Returns a name that stays in its folder, because an engine may have chosen it."""
    plain = name.replace("/", "_").replace("\0", "_")
    return plain if plain not in ("", ".", "..") else "file"


def _save(download: Download, stdout: BinaryIO) -> Text:
    with download.content as content:
        if download.to == STDOUT:
            shutil.copyfileobj(content, stdout)
            stdout.flush()
            return Text(text="Printed.")
        place = Path(download.to).expanduser()
        if place.is_dir():
            place /= _plain(download.name)
        try:
            found = place.lstat()
        except FileNotFoundError:
            found = None
        if found is not None and not stat.S_ISREG(found.st_mode):
            return Text(text=f"{place} was not written: it exists and is not an ordinary file.", tone=Tone.BAD)
        descriptor, name = tempfile.mkstemp(prefix=".quarterdeck-", dir=place.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(content, file)
            Path(name).replace(place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Text(text=f"Saved as {place}.", tone=Tone.GOOD)
