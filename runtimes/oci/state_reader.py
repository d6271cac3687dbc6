"""Reads the containers in the state directories of runc and crun, with the state of each, without calling a program.

A container is left out while it is being created or removed. The decoded files are cached until they change. All
methods block on files: the engine calls them in one thread of its own.

A state directory may belong to an ordinary user, who can write anything into it; see `core.untrusted_files`. Of such a
directory, only so many bytes are read (state_dir_cache). The path of a control group (cgroup) is accepted only below
the kernel's own mount.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core import errors, untrusted_files
from core.lazy_dataclass import dataclass
from core.model.containers import LIVE_STATES
from runtimes.kernel import cgroup_state, procfs
from runtimes.oci import decode, state_dirs
from runtimes.oci.decode import CRUN, RUNC, DecodedState
from runtimes.oci.state_dir_cache import CachedState, StateDir

MAX_CONTAINERS = 20_000  # of one directory
CGROUPS = "/sys/fs/cgroup"
CLOCK_TOLERANCE_NS = 5_000_000  # kernels date files by a clock that ticks every 4 ms
_NOT_FOUND = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class StateReader:
    """Reads the state directories of one engine. `cgroups`: where control groups are mounted."""

    def __init__(self, dirs: state_dirs.StateDirUrl, *, cgroups: str = CGROUPS) -> None:
        self.dirs = dirs
        self.cgroups = cgroups
        self.unified = Path(cgroups, "cgroup.controllers").exists()  # cgroup version 2
        self._cache: dict[str, StateDir] = {}

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def read_all(self) -> Listing:
        """Reads all containers of all directories. Raises Unreachable if no directory can be read."""
        self.refresh_dirs()
        containers: list[ContainerState] = []
        denied: dict[str, str] = {}
        read = 0
        for root in list(self._cache):
            try:
                containers += self.read_dir(root)
                read += 1
            except OSError as error:
                if error.errno in _NOT_FOUND:
                    continue
                denied[root] = error.strerror or str(error)
        if not read:
            raise self._unreachable(denied)
        return Listing(
            roots=tuple(self._cache),
            containers=tuple(containers),
            denied=tuple(f"{root}: {reason}" for root, reason in denied.items()),
            faults=tuple(
                f"{state_dir.root}/{decode.display_name(name)}: {reason}"
                for state_dir in self._cache.values()
                for name, reason in state_dir.faults.items()
            ),
        )

    def refresh_dirs(self) -> Sequence[str]:
        """Returns the directories that exist now."""
        roots = state_dirs.expand(self.dirs.patterns)
        for gone in self._cache.keys() - set(roots):
            del self._cache[gone]
        for root in roots:
            if root not in self._cache:
                self._cache[root] = StateDir(root, untrusted_files.owner_uid(root))
        return roots

    def read_dir(self, root: str) -> Iterator[ContainerState]:
        """Reads the containers of one directory. Raises OSError."""
        state_dir = self._cache[root]
        with os.scandir(root) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MAX_CONTAINERS), strict=False)]
        state_dir.forget_all_but(set(names))
        for name in names:
            if (container := self.read_container(root, name)) is not None:
                yield container

    def read_container(self, root: str, name: str) -> ContainerState | None:
        """Reads one container. Returns None if it does not exist or is not yet complete, or if its files cannot be
        decoded."""
        state_dir = self._cache.get(root)
        if state_dir is None:
            return None
        folder = f"{root}/{name}"
        try:
            cached = self._read_stored(state_dir, folder, name)
            state_dir.faults.pop(name, None)
        except errors.InvalidResponse as error:
            state_dir.faults[name] = error.full_message()
            return None
        except OSError as error:
            if error.errno not in _NOT_FOUND:
                state_dir.faults[name] = error.strerror or str(error)
            return None
        if cached is None:
            return None
        stored = cached.stored
        started = not os.path.lexists(f"{folder}/exec.fifo")  # the runtimes remove it at the start
        state = "exited"
        if stored.pid and is_running(stored):
            state = "created"
            if started:
                state = "paused" if self.is_frozen(stored) else "running"
        elif not os.path.lexists(f"{folder}/{decode.STATE_FILES[stored.program]}"):
            return None  # removed while it was read: its exec.fifo may be missing only because of that
        if started and cached.started_ns is None:
            cached.started_ns = self._started_ns(folder, stored)
        return ContainerState(
            root=root,
            name=name,
            id=cached.id,
            stored=stored,
            state=state,
            started=started,
            started_ns=cached.started_ns,
            oom_kills=self.oom_kills(stored) if state == "exited" else None,
            owners=cached.owners,
        )

    def read_spec(self, container: ContainerState) -> bytes:
        """Reads the `config.json` that the container was created from. Raises InvalidResponse, and NotFound if it
        cannot be read."""
        state_dir = self._cache.get(container.root)
        path = _spec_path(container.root, container.name, container.stored)
        if not path:
            raise errors.NotFound(
                f"The state of {decode.display_name(container.name)} does not name its bundle, so its specification"
                " cannot be read.",
                hint="Remove the container, and run its bundle again.",
            )
        try:
            if state_dir is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return untrusted_files.read_file(path, (state_dir.uid,))
        except OSError as error:
            raise errors.NotFound(
                f"The specification of {decode.display_name(container.name)}, {path}, cannot be read:"
                f" {error.strerror}.",
                hint="Check the bundle: it may have been moved, or it may belong to another user.",
            ) from error

    def owner_uid(self, root: str) -> int:
        state_dir = self._cache.get(root)
        return os.geteuid() if state_dir is None else state_dir.uid

    # ── control groups ───────────────────────────────────────────────────────────────────────────────────────────

    def is_frozen(self, stored: DecodedState) -> bool:
        return self.is_cgroup(stored.freezer_cgroup) and cgroup_state.is_frozen(stored.freezer_cgroup)

    def oom_kills(self, stored: DecodedState) -> int | None:
        return cgroup_state.oom_kills(stored.memory_cgroup) if self.is_cgroup(stored.memory_cgroup) else None

    def is_cgroup(self, folder: str) -> bool:
        """Returns True for a path below the kernel's mount, because ordinary users cannot create links there. A state
        file may contain any path."""
        return folder.startswith(f"{self.cgroups}/") and ".." not in folder.split("/")

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read_stored(self, state_dir: StateDir, folder: str, name: str) -> CachedState | None:
        for program, file in decode.STATE_FILES.items():
            path = f"{folder}/{file}"
            try:
                found = os.lstat(path)
            except OSError as error:
                if error.errno in _NOT_FOUND:
                    continue
                raise
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            cached = state_dir.stored.get(name)
            if cached is not None and cached.version == version and cached.stored.program == program:
                return cached
            stored = self._decode(state_dir, name, program, state_dir.read(path, name, first=True))
            container_id = decode.container_id(state_dir.root, name, stored.created)
            new = CachedState(version, stored, container_id, decode.owners(state_dir.root, stored))
            if cached is not None and cached.id == new.id:
                new.started_ns = cached.started_ns
            state_dir.stored[name] = new
            return new
        state_dir.forget(name)
        return None

    def _decode(self, state_dir: StateDir, name: str, program: str, data: bytes) -> DecodedState:
        stored = (
            decode.decode_runc_state(data)
            if program == RUNC
            else decode.decode_crun_status(data, self.cgroups, self.unified)
        )
        path = _spec_path(state_dir.root, name, stored)
        try:
            return decode.with_spec(stored, state_dir.read(path, name)) if path else stored
        except (OSError, errors.InvalidResponse):
            return stored  # without its command; everything else is in the state file

    def _started_ns(self, folder: str, stored: DecodedState) -> int | None:
        """Returns the start time. At the start, the runtime removes exec.fifo, which sets the folder's time. A later
        change of limits sets the times of the folder and of the state file together. Then the time of creation is
        used."""
        try:
            folder_ns = os.lstat(folder).st_mtime_ns
            file_ns = os.lstat(f"{folder}/{decode.STATE_FILES[stored.program]}").st_mtime_ns
        except OSError:
            return stored.created_ns or None
        return folder_ns if folder_ns > file_ns + CLOCK_TOLERANCE_NS else stored.created_ns or None

    def _unreachable(self, denied: dict[str, str]) -> errors.Unreachable:
        if denied:
            root = next(iter(denied))
            user, owner = (untrusted_files.user_name(uid) for uid in (os.geteuid(), untrusted_files.owner_uid(root)))
            return errors.Unreachable(
                f"The state directory {root} cannot be read by {user}: {denied[root]}.",
                hint=f"Only its owner can read a state directory: run Quarterdeck as {owner}, or remove this engine.",
            )
        shown = ", ".join(self.dirs.patterns[:4]) + (" and others" if len(self.dirs.patterns) > 4 else "")
        return errors.Unreachable(
            f"There is no state directory {shown}.",
            hint="Start a container: the runtime then creates the directory. If runc is called with --root, add"
            " file:///PATH of that directory to `engines` in quarterdeck.yaml.",
        )


class ContainerState(msgspec.Struct, frozen=True):
    """Describes one container now. `name`: its id for the runtime. `id`: its id for Quarterdeck. `state`: one of
    core.model.containers.STATES. `started`: whether it was started. `started_ns`: when, None if unknown. `oom_kills`:
    how many of its processes the kernel OOM-killed, None if unknown. `owners`: kinds of engines that may list it
    too."""

    root: str
    name: str
    id: str
    stored: DecodedState
    state: str
    started: bool
    started_ns: int | None
    oom_kills: int | None
    owners: tuple[str, ...]

    @property
    def up(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def alive(self) -> bool:
        """Returns whether its process exists: it runs, or waits to be started."""
        return self.state != "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Holds the containers of all directories at one moment. `denied`: directories that cannot be read, and why.
    `faults`: containers whose files cannot be read or decoded, and why."""

    roots: tuple[str, ...]
    containers: tuple[ContainerState, ...]
    denied: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def is_running(stored: DecodedState) -> bool:
    """Returns whether the container's first process exists, and is not another process with the same number."""
    return procfs.process_start_ticks(stored.pid) == stored.start_ticks


def _spec_path(root: str, name: str, stored: DecodedState) -> str:
    if stored.program == CRUN:
        return f"{root}/{name}/config.json"
    return f"{stored.bundle}/config.json" if stored.bundle.startswith("/") else ""
