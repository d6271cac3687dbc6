"""The one place where runc and crun are called: an argument list in, how it ended and what it wrote out.

Bounded in time and in what is kept of its output; one that takes too long is killed. For a state directory of an
ordinary user the program runs as that user: what stands there was written by them, and a process number in it must not
become a signal sent by root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import errors
from runtimes.oci import decode

KEPT = 64 << 10  # bytes of each of both outputs
AFTER_END = 0.5  # seconds for the rest of its output: what it left running may hold that open
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`cut`: bytes of both outputs that were not kept."""

    code: int
    stdout: str
    stderr: str
    cut: int
    took: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One that is here. `spec`: the version of the runtime specification it follows."""

    name: str
    path: str
    version: str
    spec: str


class Programs:
    """`given`: the path of the one to call for everything; empty for whichever a container's files ask for."""

    def __init__(self, given: str = "") -> None:
        self._given = given
        self._known: dict[str, Program] = {}  # by path

    def find(self, name: str) -> str:
        """The program's path. Raises Unreachable where it is not here: nothing has been sent then."""
        path = self._given or shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PLACES}") or ""
        if not path or not os.access(path, os.X_OK):
            raise errors.Unreachable(
                f"The program {self._given or name} is not here, and only it can do that to its containers.",
                hint=f"Install the package {name}, or write its path behind the engine's url: "
                f"?program=/usr/local/sbin/{name}.",
            )
        return path

    async def told(self, needed: Collection[str], seconds: float) -> tuple[list[Program], list[str]]:
        """Those that are needed, or could be where nothing is there yet; and a sentence for each that is not here."""
        found: dict[str, Program] = {}
        notes = []
        for name in sorted(needed, reverse=True) or decode.STATE_FILES:
            try:
                path = self.find(name)
                found[path] = self._known[path] = self._known.get(path) or await self._meet(name, path, seconds)
            except errors.EngineError as error:
                if name in needed:
                    notes.append(error.say())
        return list(found.values()), list(dict.fromkeys(notes))

    async def _meet(self, name: str, path: str, seconds: float) -> Program:
        about = f"{path} --version"
        answer = await run(path, ("--version",), seconds=seconds, uid=os.geteuid(), about=about, changes=False)
        version, spec = decode.version(answer.stdout)
        return Program(name=name, path=path, version=version, spec=spec)


async def run(path: str, words: Sequence[str], *, seconds: float, uid: int, about: str, changes: bool = True) -> Answer:
    """`uid`: whose state directory it is about; `changes`: one that was cut off may have done something. Raises
    TimedOut, and Unreachable where it could not be started."""
    began = time.monotonic()
    try:
        transport, heard = await asyncio.get_running_loop().subprocess_exec(
            _Heard,
            path,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            start_new_session=True,
            **_as(uid),
        )
    except (OSError, ValueError) as error:
        raise errors.Unreachable(
            f"{path} could not be started: {getattr(error, 'strerror', None) or error}.", hint="Does it run by hand?"
        ) from error
    try:
        async with asyncio.timeout(seconds):
            await heard.ended.wait()
        # A program it left running may hold its outputs open for ever.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AFTER_END):
                await heard.silent.wait()
    except TimeoutError as error:
        raise errors.TimedOut(
            f"{about} did not end within {seconds:.0f} s.",
            sent=changes,
            hint="What it began may go on: look with ps.",
        ) from error
    finally:
        transport.close()  # kills it where it still is
        await heard.ended.wait()
    return Answer(
        code=transport.get_returncode() or 0,
        stdout=heard.text(1),
        stderr=heard.text(2),
        cut=heard.cut,
        took=time.monotonic() - began,
    )


class _Heard(asyncio.SubprocessProtocol):
    """The beginning of both outputs; the rest is read too, so that nobody waits for us, and counted. (Waiting for a
    process by its streams would wait for whatever else holds them.)"""

    def __init__(self) -> None:
        self.ended, self.silent = asyncio.Event(), asyncio.Event()
        self.cut = 0
        self._data = {1: bytearray(), 2: bytearray()}
        self._open = 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self._data[fd]
        room = KEPT - len(kept)
        kept += data[:room]
        self.cut += max(0, len(data) - room)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open -= 1
        if not self._open:
            self.silent.set()

    def process_exited(self) -> None:
        self.ended.set()

    def text(self, fd: int) -> str:
        return self._data[fd].decode("utf-8", "replace")


def _as(uid: int) -> Mapping[str, Any]:
    """Whose rights and environment it gets. Our own environment holds tokens: it is not handed on."""
    environ = {"PATH": PLACES, "LANG": "C.UTF-8"}
    if uid == os.geteuid():
        kept = {name: os.environ[name] for name in ("XDG_RUNTIME_DIR", "HOME") if name in os.environ}
        return {"env": environ | kept}
    if os.geteuid() != 0:
        return {"env": environ}
    try:
        user = pwd.getpwuid(uid)
        group, home = user.pw_gid, user.pw_dir
    except KeyError:
        group, home = uid, "/"
    environ |= {"XDG_RUNTIME_DIR": f"/run/user/{uid}", "HOME": home}
    return {"env": environ, "user": uid, "group": group, "extra_groups": []}
