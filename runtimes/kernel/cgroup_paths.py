"""Where the kernel keeps its accounts of a container: in which cgroup it is, and where that is to be read here.

In: a container's id with a pid of it, a cgroup path, or neither. Out: its folder for each controller, of version 1 or
2, or nothing. A pid is believed only where the cgroup it is in is named after the container: pids are used again, and a
socket may lead to another machine. Without a pid (that of a container of another pid namespace is not to be had) the
usual names are tried; what none of them fits is looked for in the tree, which is walked at most once in a while.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
CONTROLLERS: Mapping[str, str] = {"cpuacct": "cpu", "memory": "memory", "pids": "pids", "blkio": "io"}
"""What is read, by version 1's name: its name in version 2."""
USUAL = (
    "docker/{id}",
    "system.slice/docker-{id}.scope",
    "libpod_parent/libpod-{id}",
    "machine.slice/libpod-{id}.scope",
    "k8s.io/{id}",
    "default/{id}",
    "system.slice/nerdctl-{id}.scope",
    "crio-{id}.scope",
)
MOST_FOLDERS = 20_000  # looked at in one walk
WALK_AGAIN = 10.0  # seconds before what was not found is looked for again
_ID = re.compile(r"[0-9a-f]{64}")
_OUTSIDE_OF_SEGMENT = re.compile(r"\\(\d{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One place where cgroups are mounted; `root` is the cgroup that is seen there. `controllers` are those of version
    1; version 2 tells its own in a file."""

    point: str
    root: str
    controllers: frozenset[str]
    unified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupPath:
    """One container's folders, by version 1's names of the controllers; `unified` are those that speak version 2."""

    folders: Mapping[str, str]
    unified: frozenset[str]
    pid: int

    @property
    def any(self) -> str:
        return next(iter(self.folders.values()))


class CgroupLocator:
    """`root`: what stands before every path, for trees that were recorded. `named`: cgroups have their container's id
    in their name; without it the cgroup of a pid is taken as it is."""

    def __init__(self, root: str = "", *, named: bool = True, now: Callable[[], float] = time.monotonic) -> None:
        self._root, self._named, self._now = root, named, now
        self._mounts: Sequence[Mount] = ()
        self._walked_at = float("-inf")
        self._walked: dict[str, str] = {}

    def find(self, thing: str, where: int | str) -> CgroupPath | None:
        """`where`: a pid of the container, 0 where none is known, or its cgroup."""
        if isinstance(where, str):
            return self._place(where, 0)
        if found := self._near(thing, where):
            return found
        path = self._walked.get(thing)
        return self._place(path, 0) if path else None

    def far(self, thing: str, where: int | str) -> bool:
        """Whether a container can be found by nothing but a walk, and one is due."""
        return (
            not isinstance(where, str)
            and _ID.fullmatch(thing) is not None
            and self._now() - self._walked_at >= WALK_AGAIN
            and self._near(thing, where) is None
        )

    def _near(self, thing: str, where: int) -> CgroupPath | None:
        if where and (paths := self._of(where, thing)):
            return self._at(paths, where)
        for usual in USUAL:
            if found := self._place(usual.format(id=thing), 0):
                return found
        return None

    def network(self, pid: int | str) -> str:
        """What tells one network namespace from another; empty where that may not be read."""
        try:
            return os.readlink(f"{self._root}/proc/{pid}/ns/net")  # noqa: PTH115 (it leads to no file)
        except OSError:
            return ""

    def told(self, where: int | str) -> bool:
        """Whether there should be a container: it was told by its cgroup, or by a pid that lives."""
        return isinstance(where, str) or (where > 0 and Path(self.process(where)).exists())

    def process(self, pid: int) -> str:
        return f"{self._root}/proc/{pid}"

    def member(self, place: CgroupPath) -> int:
        """A process of the container; 0 where none is to be seen from here. One with systemd in it keeps its processes
        in cgroups of its own."""
        if place.pid:
            return place.pid
        folders = deque([place.any])
        for folder in itertools.islice(_popped(folders), 16):
            try:
                with open(f"{folder}/cgroup.procs", "rb") as file:  # noqa: PTH123 (hot)
                    if first := file.read(4096).split():
                        return int(first[0])
            except (OSError, ValueError):
                continue
            folders.extend(_inside(folder))
        return 0

    # ── the mounts ───────────────────────────────────────────────────────────────────────────────────────────────

    def mounts(self) -> Sequence[Mount]:
        if not self._mounts:
            try:
                text = Path(f"{self._root}/proc/self/mountinfo").read_text(errors="surrogateescape")
            except OSError:
                text = ""
            self._mounts = tuple(filter(None, map(_mount, text.splitlines())))
        return self._mounts

    def _of(self, pid: int, thing: str) -> Mapping[str, str]:
        """The cgroups of a process by controller ("" for version 2), cut where the container's own ends; empty where
        it is no process of this container."""
        try:
            lines = Path(f"{self._root}/proc/{pid}/cgroup").read_text(errors="surrogateescape").splitlines()
        except OSError:
            return {}
        found = {}
        for line in lines:
            _, names, path = (*line.split(":", 2), "", "")[:3]
            own = _cut(path, thing) if self._named else path
            if own and own != "/":
                found.update(dict.fromkeys(names.split(","), own))
        return found

    def _place(self, path: str, pid: int) -> CgroupPath | None:
        return self._at(dict.fromkeys(("", *CONTROLLERS), f"/{path.strip('/')}"), pid, named=False)

    def _at(self, paths: Mapping[str, str], pid: int, *, named: bool = True) -> CgroupPath | None:
        """The folders at these paths that are there. `named`: they are as the process tells, else as seen from any
        mount's own root."""
        folders: dict[str, str] = {}
        unified = set()
        for mount in self.mounts():
            for controller in CONTROLLERS if mount.unified else CONTROLLERS.keys() & mount.controllers:
                path = paths.get("" if mount.unified else controller, "")
                inside = path if not named else _below(path, mount.root)
                folder = f"{self._root}{mount.point.rstrip('/')}{inside}"
                if controller in folders or not inside or not os.path.isdir(folder):  # noqa: PTH112 (hot)
                    continue
                if mount.unified and CONTROLLERS[controller] not in self._spoken(folder):
                    continue
                folders[controller] = folder
                if mount.unified:
                    unified.add(controller)
        return CgroupPath(folders=folders, unified=frozenset(unified), pid=pid) if folders else None

    def _spoken(self, folder: str) -> Sequence[str]:
        """The controllers of version 2 that keep an account there. That of the processor's time is always kept."""
        try:
            return ("cpu", *Path(folder, "cgroup.controllers").read_text(errors="surrogateescape").split())
        except OSError:
            return ()

    # ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────

    def walk(self) -> None:
        """Looks for ids of containers in the whole tree; on a large machine that takes a while: not for a loop."""
        walked: dict[str, str] = {}
        # Of version 1 one controller's tree tells of all: engines make the same cgroups in each.
        tops = [mount.point.rstrip("/") for mount in self.mounts() if mount.unified or "memory" in mount.controllers]
        folders = deque([(f"{self._root}{top}", f"{self._root}{top}") for top in tops])
        for top, folder in itertools.islice(_popped(folders), MOST_FOLDERS):
            for inner in _inside(folder):
                if found := _ID.search(inner.rpartition("/")[2]):
                    walked.setdefault(found[0], inner.removeprefix(top))
                folders.append((top, inner))
        self._walked, self._walked_at = walked, self._now()


def _mount(line: str) -> Mount | None:
    """One line of mountinfo: `36 35 0:31 ROOT POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS`."""
    before, _, after = line.partition(" - ")
    words, kind = before.split(), after.split()
    if len(words) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
        return None
    root, point = (_OUTSIDE_OF_SEGMENT.sub(lambda found: chr(int(found[1], 8)), word) for word in words[3:5])
    return Mount(point=point, root=root, controllers=frozenset(kind[2].split(",")), unified=kind[0] == "cgroup2")


def _cut(path: str, thing: str) -> str:
    """The container's own cgroup in the path of one of its processes, which may be further down; empty where none of
    it is named after the container."""
    segments = path.split("/")
    for number, segment in enumerate(segments):
        bare = segment.removesuffix(".scope").removesuffix(".slice")
        if bare == thing or bare.endswith((f"-{thing}", f":{thing}")):
            return "/".join(segments[: number + 1])
    return ""


def _below(path: str, root: str) -> str:
    """A path as seen in a mount of `root`; empty where it is not seen there."""
    root = root.rstrip("/")
    return path[len(root) :] if path.startswith(f"{root}/") else ""


def _inside(folder: str) -> Sequence[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return ()


def _popped(waiting: deque[T]) -> Iterator[T]:
    while waiting:
        yield waiting.popleft()
