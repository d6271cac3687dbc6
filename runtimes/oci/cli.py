"""The one place where runc and crun are called: an argument list in, how it ended and what it wrote out.

Bounded in time and in what is kept of its output; one that takes too long is killed. For a state directory of an
ordinary user the program runs as that user: what stands there was written by them, and a process number in it must not
become a signal sent by root.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core import errors, processes
from runtimes.oci import decode

PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
                    notes.append(error.full_message())
        return list(found.values()), list(dict.fromkeys(notes))

    async def _meet(self, name: str, path: str, seconds: float) -> Program:
        about = f"{path} --version"
        answer = await run(path, ("--version",), seconds=seconds, uid=os.geteuid(), about=about, changes=False)
        version, spec = decode.version(answer.stdout)
        return Program(name=name, path=path, version=version, spec=spec)


async def run(
    path: str, words: Sequence[str], *, seconds: float, uid: int, about: str, changes: bool = True
) -> processes.Result:
    """`uid`: whose state directory it is about; `changes`: one that was cut off may have done something. Raises
    TimedOut, and Unreachable where it could not be started."""
    env, run_as = _as(uid)
    try:
        return await processes.run(
            [path, *words],
            timeout=seconds,
            name=about,
            env=env,
            run_as=run_as,
            change=changes,
            hint=f"Run it by hand to see why: {path} --version",
        )
    except errors.TimedOut as error:
        error.hint = "What it began may go on: look with ps."
        raise


def _as(uid: int) -> tuple[Mapping[str, str], processes.RunAs | None]:
    """The environment that a program gets, and the user it runs as. Quarterdeck's own environment holds tokens: it is
    not passed on."""
    env = {"PATH": PLACES, "LANG": "C.UTF-8"}
    if uid == os.geteuid():
        return env | {name: os.environ[name] for name in ("XDG_RUNTIME_DIR", "HOME") if name in os.environ}, None
    if os.geteuid() != 0:
        return env, None
    try:
        user = pwd.getpwuid(uid)
        group, home = user.pw_gid, user.pw_dir
    except KeyError:
        group, home = uid, "/"
    return env | {"XDG_RUNTIME_DIR": f"/run/user/{uid}", "HOME": home}, processes.RunAs(uid=uid, gid=group)
