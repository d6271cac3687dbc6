"""Finds and calls the programs runc and crun.

For a state directory of an ordinary user the program runs as that user: they wrote what is there, and a process number
in it must not become a signal that root sends.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core import errors, processes
from runtimes.oci import decode, decode_output

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An installed runtime. `spec`: the version of the OCI runtime specification that it implements."""

    name: str
    path: str
    version: str
    spec: str


class Programs:
    """`path`: the program to call for all containers; empty for the one that a container's files ask for."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._cache: dict[str, Program] = {}  # by path

    def find(self, name: str) -> str:
        """The program's path. Raises Unreachable, with `sent` False."""
        path = self._path or shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SEARCH_PATH}") or ""
        if not path or not os.access(path, os.X_OK):
            raise errors.Unreachable(
                f"The program {self._path or name}, which is needed for its containers, is not installed.",
                hint=f"Install the package {name}, or add its path to the engine's url: "
                f"?program=/usr/local/sbin/{name}.",
            )
        return path

    async def describe(self, needed: Collection[str], seconds: float) -> tuple[list[Program], list[str]]:
        """The needed programs, or all that are installed if none is needed. And a sentence for each missing one."""
        found: dict[str, Program] = {}
        notes = []
        for name in sorted(needed, reverse=True) or decode.STATE_FILES:
            try:
                path = self.find(name)
                found[path] = self._cache[path] = self._cache.get(path) or await self._identify(name, path, seconds)
            except errors.EngineError as error:
                if name in needed:
                    notes.append(error.full_message())
        return list(found.values()), list(dict.fromkeys(notes))

    async def _identify(self, name: str, path: str, seconds: float) -> Program:
        about = f"{path} --version"
        result = await run(path, ("--version",), seconds=seconds, uid=os.geteuid(), about=about, changes=False)
        version, spec = decode_output.versions(result.stdout)
        return Program(name=name, path=path, version=version, spec=spec)


async def run(
    path: str, arguments: Sequence[str], *, seconds: float, uid: int, about: str, changes: bool = True
) -> processes.Result:
    """`uid`: the owner of the state directory; `about`: the command's name in errors; `changes`: a program that was
    killed may have changed something. Raises TimedOut and Unreachable."""
    env, run_as = _environment(uid)
    try:
        return await processes.run(
            [path, *arguments],
            timeout=seconds,
            name=about,
            env=env,
            run_as=run_as,
            change=changes,
            hint=f"Run it by hand to see why: {path} --version",
        )
    except errors.TimedOut as error:
        error.hint = "Its effects may continue: list the containers with ps."
        raise


def _environment(uid: int) -> tuple[Mapping[str, str], processes.RunAs | None]:
    """The environment that a program gets, and the user it runs as. Quarterdeck's own environment contains tokens: it
    is not passed on."""
    env = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8"}
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
