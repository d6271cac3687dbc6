"""Finds the control group (cgroup) directories of a container, of version 1 or version 2, for each controller.

The search starts from a process id of the container, from the path of its cgroup, or from the container's id alone. A
process id is used only if its cgroup is named after the container: process ids are reused, and the engine's socket may
lead to another machine. The process id is unknown if the container is in another PID namespace. Then the usual cgroup
names are tried. If none of these names exists, the whole tree is searched, at most once in WALK_AGAIN_SECONDS.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from core.lazy_dataclass import dataclass

T = TypeVar("T")
CONTROLLERS: Mapping[str, str] = {"cpuacct": "cpu", "cpu": "cpu", "memory": "memory", "pids": "pids", "blkio": "io"}
"""The controllers that are read: version 1's name, and version 2's."""
USUAL_PATHS = (
    "docker/{id}",
    "system.slice/docker-{id}.scope",
    "libpod_parent/libpod-{id}",
    "machine.slice/libpod-{id}.scope",
    "k8s.io/{id}",
    "default/{id}",
    "system.slice/nerdctl-{id}.scope",
    "crio-{id}.scope",
)
MAX_DIRECTORIES = 20_000  # in one walk
WALK_AGAIN_SECONDS = 10.0  # between two walks
_ID = re.compile(r"[0-9a-f]{64}")
_ESCAPED = re.compile(r"\\(\d{3})")


class CgroupLocator:
    """Finds the cgroup directories of containers.

    `root`: the prefix of every path, for recorded trees. `named_by_id`: the names of cgroups contain the id of their
    container; if not, the cgroup of a given process is used as it is.
    """

    def __init__(self, root: str = "", *, named_by_id: bool = True, now: Callable[[], float] = time.monotonic) -> None:
        self._root, self._named_by_id, self._now = root, named_by_id, now
        self._mounts: Sequence[Mount] = ()
        self._walked_at = float("-inf")
        self._walked: dict[str, str] = {}  # paths by container id, from the last walk

    def find(self, container_id: str, source: int | str) -> ContainerCgroup | None:
        """Returns the directories of a container. `source`: a process id of the container (0: not known) or the path of
        its cgroup."""
        if isinstance(source, str):
            return self._at_path(source)
        if found := self._find_directly(container_id, source):
            return found
        path = self._walked.get(container_id)
        return self._at_path(path) if path else None

    def needs_walk(self, container_id: str, source: int | str) -> bool:
        """Returns whether only a walk through the tree can find the container, and the last walk is long enough ago."""
        return (
            not isinstance(source, str)
            and _ID.fullmatch(container_id) is not None
            and self._now() - self._walked_at >= WALK_AGAIN_SECONDS
            and self._find_directly(container_id, source) is None
        )

    def _find_directly(self, container_id: str, pid: int) -> ContainerCgroup | None:
        if pid and (paths := self._paths_of_process(pid, container_id)):
            return self._existing(paths, pid)
        for usual in USUAL_PATHS:
            if found := self._at_path(usual.format(id=container_id)):
                return found
        return None

    def network_namespace(self, pid: int | str) -> str:
        """Returns the identity of a process's network namespace; empty if it cannot be read."""
        try:
            return os.readlink(f"{self._root}/proc/{pid}/ns/net")  # noqa: PTH115 (the link has no target file)
        except OSError:
            return ""

    def should_exist(self, source: int | str) -> bool:
        """Returns whether the container's cgroup should exist: its path or a living process is given."""
        return isinstance(source, str) or (source > 0 and Path(self.process_directory(source)).exists())

    def process_directory(self, pid: int) -> str:
        return f"{self._root}/proc/{pid}"

    def any_process(self, cgroup: ContainerCgroup) -> int:
        """Returns the id of one process of the container; 0 if none is visible. A container that runs systemd has its
        processes in cgroups below its own."""
        if cgroup.pid:
            return cgroup.pid
        directories = deque([cgroup.first()])
        for directory in itertools.islice(_popped(directories), 16):
            try:
                with open(f"{directory}/cgroup.procs", "rb") as file:  # noqa: PTH123 (hot)
                    if first := file.read(4096).split():
                        return int(first[0])
            except (OSError, ValueError):
                continue
            directories.extend(_subdirectories(directory))
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

    def _paths_of_process(self, pid: int, container_id: str) -> Mapping[str, str]:
        """Returns the container's cgroups by controller ("": version 2), from those of its process; empty if the
        process belongs to another container."""
        try:
            lines = Path(f"{self._root}/proc/{pid}/cgroup").read_text(errors="surrogateescape").splitlines()
        except OSError:
            return {}
        found = {}
        for line in lines:
            _, names, path = (*line.split(":", 2), "", "")[:3]
            own = _container_part(path, container_id) if self._named_by_id else path
            if own and own != "/":
                found.update(dict.fromkeys(names.split(","), own))
        return found

    def _at_path(self, path: str) -> ContainerCgroup | None:
        return self._existing(dict.fromkeys(("", *CONTROLLERS), f"/{path.strip('/')}"), 0, absolute=False)

    def _existing(self, paths: Mapping[str, str], pid: int, *, absolute: bool = True) -> ContainerCgroup | None:
        """Returns the directories at these paths that exist. `absolute`: the paths are as in /proc/PID/cgroup; if not,
        they are relative to the root of each mount."""
        directories: dict[str, str] = {}
        v2 = set()
        for mount in self.mounts():
            for controller in CONTROLLERS if mount.v2 else CONTROLLERS.keys() & mount.controllers:
                path = paths.get("" if mount.v2 else controller, "")
                relative = _below_root(path, mount.root) if absolute else path
                directory = f"{self._root}{mount.point.rstrip('/')}{relative}"
                if controller in directories or not relative or not os.path.isdir(directory):  # noqa: PTH112 (hot)
                    continue
                if mount.v2 and CONTROLLERS[controller] not in self._v2_controllers(directory):
                    continue
                directories[controller] = directory
                if mount.v2:
                    v2.add(controller)
        return ContainerCgroup(directories=directories, v2=frozenset(v2), pid=pid) if directories else None

    def _v2_controllers(self, directory: str) -> Sequence[str]:
        """Returns the enabled controllers of version 2. CPU time is always counted."""
        try:
            return ("cpu", *Path(directory, "cgroup.controllers").read_text(errors="surrogateescape").split())
        except OSError:
            return ()

    # ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────

    def walk(self) -> None:
        """Searches the whole tree for container ids. It can take long on a large machine: run it in a thread."""
        walked: dict[str, str] = {}
        # For version 1 one controller's tree is enough: engines make the same cgroups in each.
        tops = [mount.point.rstrip("/") for mount in self.mounts() if mount.v2 or "memory" in mount.controllers]
        directories = deque([(f"{self._root}{top}", f"{self._root}{top}") for top in tops])
        for top, directory in itertools.islice(_popped(directories), MAX_DIRECTORIES):
            for inner in _subdirectories(directory):
                if found := _ID.search(inner.rpartition("/")[2]):
                    walked.setdefault(found[0], inner.removeprefix(top))
                directories.append((top, inner))
        self._walked, self._walked_at = walked, self._now()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Holds one mount of a cgroup file system. `root` is the cgroup that is visible at `point`. `controllers` are those
    of version 1; version 2 lists its own in a file. `v2`: it is a mount of version 2."""

    point: str
    root: str
    controllers: frozenset[str]
    v2: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerCgroup:
    """Holds one container's directories by version 1's names of the controllers. `v2`: the controllers of version 2.
    `pid`: one of its processes, 0 if not known."""

    directories: Mapping[str, str]
    v2: frozenset[str]
    pid: int

    def first(self) -> str:
        return next(iter(self.directories.values()))


def _mount(line: str) -> Mount | None:
    """Parses one line of mountinfo: `36 35 0:31 ROOT POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS`."""
    before, _, after = line.partition(" - ")
    fields, kind = before.split(), after.split()
    if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
        return None
    root, point = (_ESCAPED.sub(lambda found: chr(int(found[1], 8)), field) for field in fields[3:5])
    return Mount(point=point, root=root, controllers=frozenset(kind[2].split(",")), v2=kind[0] == "cgroup2")


def _container_part(path: str, container_id: str) -> str:
    """Returns the container's own cgroup in the path of one of its processes, which may be deeper; empty if no part of
    the path is named after the container."""
    segments = path.split("/")
    for number, segment in enumerate(segments):
        name = segment.removesuffix(".scope").removesuffix(".slice")
        if name == container_id or name.endswith((f"-{container_id}", f":{container_id}")):
            return "/".join(segments[: number + 1])
    return ""


def _below_root(path: str, root: str) -> str:
    """Returns the path relative to the root of a mount; empty if the path is not below that root."""
    root = root.rstrip("/")
    return path[len(root) :] if path.startswith(f"{root}/") else ""


def _subdirectories(directory: str) -> Sequence[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return ()


def _popped(waiting: deque[T]) -> Iterator[T]:
    while waiting:
        yield waiting.popleft()
