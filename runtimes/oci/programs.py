"""Finds and runs the programs runc and crun.

If a state directory belongs to an ordinary user, the program runs as that user. Otherwise this user could write the
number of any process into the directory, and root would send a signal to that process.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Collection, Mapping, Sequence

from core import errors, processes
from core.lazy_dataclass import dataclass
from runtimes.oci import decode

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VERSION = re.compile(r"^(?:runc|crun) version (\S+)", re.MULTILINE)
_SPEC = re.compile(r"^spec: (\S+)", re.MULTILINE)


class ProgramFinder:
    """Finds the installed programs. `path`: the program for all containers; if empty, the files of a container
    determine the program."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._cache: dict[str, Program] = {}  # by path

    def find(self, name: str) -> str:
        """Returns the program's path. Raises Unreachable, with `sent` False."""
        path = self._path or shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SEARCH_PATH}") or ""
        if self._path and not os.access(path, os.X_OK):
            raise errors.Unreachable(
                f"The program {path} of this engine's url does not exist, or Quarterdeck's user may not run it.",
                hint=f"Correct ?program={path} in the url. Without it, Quarterdeck searches for {name} itself.",
            )
        if not path or not os.access(path, os.X_OK):
            raise errors.Unreachable(
                f"The program {name} is not installed, but containers of this engine need it.",
                hint=f"Install the package {name}, or add the program's path to the engine's url: "
                f"?program=/usr/local/sbin/{name}.",
            )
        return path

    async def describe(self, needed: Collection[str], seconds: float) -> tuple[list[Program], list[str]]:
        """Returns the needed programs, or all installed ones if none is needed. Also returns a sentence for each
        missing program."""
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
        version, spec = parse_versions(result.stdout)
        return Program(name=name, path=path, version=version, spec=spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Describes an installed program. `spec`: the version of the OCI runtime specification that it implements."""

    name: str
    path: str
    version: str
    spec: str


async def run(
    path: str, arguments: Sequence[str], *, seconds: float, uid: int, about: str, changes: bool = True
) -> processes.Result:
    """Runs a program and returns its output. `uid`: the owner of the state directory. `about`: the command's name in
    errors. `changes`: whether a killed program may have changed something. Raises TimedOut and Unreachable."""
    env, run_as = _environment(uid)
    try:
        return await processes.run(
            [path, *arguments],
            timeout=seconds,
            name=about,
            env=env,
            run_as=run_as,
            change=changes,
            # Not /dev/null: crun gives its standard input to the user of the program that it runs, and that would be
            # the /dev/null of the whole host.
            stdin=b"",
            hint=f"Run it by hand to see why: {path} --version",
        )
    except errors.TimedOut as error:
        if not changes:
            raise
        raise errors.TimedOut(
            error.message,
            sent=error.sent,
            hint="Before you give the command again, check with `ps` whether it changed something.",
        ) from error


def _environment(uid: int) -> tuple[Mapping[str, str], processes.RunAs | None]:
    """Returns the environment of the program, and the user that it runs as. Quarterdeck's own environment is not passed
    on, because it contains tokens."""
    env = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8"}
    if uid == os.geteuid():
        return processes.minimal_environment(**env), None
    if os.geteuid() != 0:
        return env, None
    try:
        user = pwd.getpwuid(uid)
        group, home = user.pw_gid, user.pw_dir
    except KeyError:
        group, home = uid, "/"
    return env | {"XDG_RUNTIME_DIR": f"/run/user/{uid}", "HOME": home}, processes.RunAs(uid=uid, gid=group)


def parse_versions(text: str) -> tuple[str, str]:
    """Parses the output of `--version`: the program's version and that of the OCI specification. A missing one is
    empty."""
    program, spec = _VERSION.search(text), _SPEC.search(text)
    return program[1] if program else "", spec[1] if spec else ""
