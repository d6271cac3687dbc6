"""The state directories of OCI runtimes, read: which containers are there and what each does, without calling anybody.

In: state directories. Out: `Seen`, one for each container, true at the moment of reading; what is being made or taken
away meanwhile is simply not there. What a runtime wrote down is kept as long as its file is the same one. Everything
here may block on a slow disk and belongs into the adapter's one thread.

A directory may be an ordinary user's, and so may all that stands in it. So a file counts only where it is a plain one
of the directory's owner and not larger than anything honest; links are not followed, and a control group is a folder
under the kernel's own mount or none at all.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from core import errors
from runtimes.oci import decode, state_dirs
from runtimes.oci.decode import CRUN, RUNC, Known

LARGEST = 4 << 20  # bytes of one file; docker's bundles have about 40,000
MOST_CONTAINERS = 20_000  # of one directory
CGROUPS = "/sys/fs/cgroup"
STARTED_LATER = 5_000_000  # ns: kernels date files by a clock that ticks every 4 ms
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class Seen(msgspec.Struct, frozen=True):
    """One container as it is now. `id` is ours, `name` the runtime's; `state` one of core.model.containers.STATES;
    `started`: it has been, at `started_ns` as far as the files tell. `ooms`: processes the kernel killed in it for want
    of memory, None where that is not to be known. `owners`: kinds of engine that may tell of it too."""

    root: str
    name: str
    id: str
    known: Known
    state: str
    started: bool
    started_ns: int | None
    ooms: int | None
    owners: tuple[str, ...]

    @property
    def up(self) -> bool:
        return self.state in ("running", "paused")

    @property
    def lives(self) -> bool:
        """Its process is there: it runs, or waits to be started."""
        return self.state != "exited"


@dataclass(slots=True)
class _Kept:
    """What was read of one container's files, and how they were then."""

    sign: tuple[int, int, int]
    known: Known
    id: str
    owners: tuple[str, ...]
    started_ns: int | None = None


@dataclass(slots=True)
class Shelf:
    """One state directory. `uid`: whose it is; `faults`: by container, why it cannot be told of."""

    root: str
    uid: int
    kept: dict[str, _Kept] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All directories at one moment. `denied`: directories that may not be read, and why."""

    roots: tuple[str, ...]
    seen: tuple[Seen, ...]
    denied: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class States:
    """`cgroups`: where control groups are mounted."""

    def __init__(self, places: state_dirs.Places, *, cgroups: str = CGROUPS) -> None:
        self.places = places
        self.cgroups = cgroups
        self.unified = Path(cgroups, "cgroup.controllers").exists()
        self._shelves: dict[str, Shelf] = {}

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def all(self) -> Found:
        """Raises Unreachable where there is nothing that may be read."""
        self.refresh()
        seen: list[Seen] = []
        denied: dict[str, str] = {}
        read = 0
        for root in list(self._shelves):
            try:
                seen += self.of(root)
                read += 1
            except OSError as error:
                if error.errno in _NOT_THERE:
                    continue
                denied[root] = error.strerror or str(error)
        if not read:
            raise self._nothing(denied)
        return Found(
            roots=tuple(self._shelves),
            seen=tuple(seen),
            denied=tuple(f"{root}: {why}" for root, why in denied.items()),
            faults=tuple(
                f"{shelf.root}/{decode.called(name)}: {why}"
                for shelf in self._shelves.values()
                for name, why in shelf.faults.items()
            ),
        )

    def refresh(self) -> Sequence[str]:
        """The directories there are now."""
        now = state_dirs.expand(self.places.patterns)
        for gone in self._shelves.keys() - set(now):
            del self._shelves[gone]
        for root in now:
            if root not in self._shelves:
                self._shelves[root] = Shelf(root, _owner(root))
        return now

    def of(self, root: str) -> Iterator[Seen]:
        """One directory's containers. Raises OSError where it cannot be read."""
        shelf = self._shelves[root]
        with os.scandir(root) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_CONTAINERS), strict=False)]
        there = set(names)
        for gone in shelf.kept.keys() - there:
            del shelf.kept[gone]
        for gone in shelf.faults.keys() - there:
            del shelf.faults[gone]
        for name in names:
            if (seen := self.look(root, name)) is not None:
                yield seen

    def look(self, root: str, name: str) -> Seen | None:
        """One container; None where it is not there, not there yet or not to be understood."""
        shelf = self._shelves.get(root)
        if shelf is None:
            return None
        folder = f"{root}/{name}"
        try:
            kept = self._kept(shelf, folder, name)
            shelf.faults.pop(name, None)
        except errors.InvalidResponse as error:
            shelf.faults[name] = error.full_message()
            return None
        except OSError as error:
            if error.errno not in _NOT_THERE:
                shelf.faults[name] = error.strerror or str(error)
            return None
        if kept is None:
            return None
        known = kept.known
        started = not os.path.lexists(f"{folder}/exec.fifo")
        state = "exited"
        if known.pid and born(known.pid) == known.born:
            state = "created"
            if started:
                state = "paused" if self.frozen(known) else "running"
        if started and kept.started_ns is None:
            kept.started_ns = self._began(shelf, folder, known)
        return Seen(
            root=root,
            name=name,
            id=kept.id,
            known=known,
            state=state,
            started=started,
            started_ns=kept.started_ns,
            ooms=self.ooms(known) if state == "exited" else None,
            owners=kept.owners,
        )

    def document(self, seen: Seen) -> bytes:
        """The `config.json` it was made of. Raises InvalidResponse, or NotFound where nobody may read it any more."""
        shelf = self._shelves.get(seen.root)
        place = self._spec_of(seen.root, seen.name, seen.known)
        try:
            if shelf is None or not place:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return _read(place, shelf.uid)
        except OSError as error:
            raise errors.NotFound(
                f"What {decode.called(seen.name)} was made of cannot be read: {place}: {error.strerror}.",
                hint="Its bundle was moved or belongs to somebody else.",
            ) from error

    def uid(self, root: str) -> int:
        """Whose directory it is."""
        shelf = self._shelves.get(root)
        return os.geteuid() if shelf is None else shelf.uid

    # ── what the kernel tells ────────────────────────────────────────────────────────────────────────────────────

    def frozen(self, known: Known) -> bool:
        if not self.inside(known.freezer):
            return False
        word = _line(f"{known.freezer}/freezer.state") or _line(f"{known.freezer}/cgroup.freeze")
        return word in ("FROZEN", "FREEZING", "1")

    def ooms(self, known: Known) -> int | None:
        if not self.inside(known.memory):
            return None
        for name in ("memory.events", "memory.oom_control"):
            for line in _line(f"{known.memory}/{name}", whole=True).splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill" and count.isdecimal():
                    return int(count)
        return None

    def inside(self, folder: str) -> bool:
        """Whether that is a control group, and not some folder a file speaks of. Ordinary users make no links there."""
        return folder.startswith(f"{self.cgroups}/") and ".." not in folder.split("/")

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _kept(self, shelf: Shelf, folder: str, name: str) -> _Kept | None:
        for program, file in decode.STATE_FILES.items():
            place = f"{folder}/{file}"
            try:
                there = os.lstat(place)
            except OSError as error:
                if error.errno in _NOT_THERE:
                    continue
                raise
            sign = (there.st_ino, there.st_mtime_ns, there.st_size)
            kept = shelf.kept.get(name)
            if kept is not None and kept.sign == sign and kept.known.program == program:
                return kept
            known = self._known(shelf, name, program, _read(place, shelf.uid))
            new = _Kept(
                sign,
                known,
                decode.identity(shelf.root, name, known.created),
                decode.owners(shelf.root, known),
            )
            if kept is not None and kept.id == new.id:
                new.started_ns = kept.started_ns
            shelf.kept[name] = new
            return new
        shelf.kept.pop(name, None)
        return None

    def _known(self, shelf: Shelf, name: str, program: str, data: bytes) -> Known:
        known = decode.runc_state(data) if program == RUNC else decode.crun_status(data, self.cgroups, self.unified)
        place = self._spec_of(shelf.root, name, known)
        try:
            return decode.with_spec(known, _read(place, shelf.uid)) if place else known
        except (OSError, errors.InvalidResponse):
            return known  # its command stays untold; the rest is in the state

    def _spec_of(self, root: str, name: str, known: Known) -> str:
        if known.program == CRUN:
            return f"{root}/{name}/config.json"
        return f"{known.bundle}/config.json" if known.bundle.startswith("/") else ""

    def _began(self, shelf: Shelf, folder: str, known: Known) -> int | None:
        """Starting takes the fifo out of its folder, which dates that; a later change of limits dates it anew, together
        with the state's file. One that was run at once began as it was made."""
        try:
            taken = os.lstat(folder).st_mtime_ns
            written = os.lstat(f"{folder}/{decode.STATE_FILES[known.program]}").st_mtime_ns
        except OSError:
            return known.created_ns or None
        return taken if taken > written + STARTED_LATER else known.created_ns or None

    def _nothing(self, denied: dict[str, str]) -> errors.Unreachable:
        if denied:
            root = next(iter(denied))
            return errors.Unreachable(
                f"{root} may not be read by {_user(os.geteuid())}: {denied[root]}.",
                hint="A state directory is its owner's alone: run Quarterdeck as "
                f"{_user(_owner(root))}, or leave this engine out.",
            )
        shown = ", ".join(self.places.patterns[:4]) + (" and others" if len(self.places.patterns) > 4 else "")
        return errors.Unreachable(
            f"There is no state directory {shown}.",
            hint="It appears with the runtime's first container; whoever calls runc with --root names another: "
            "write that one as file:///PATH under `engines`.",
        )


def born(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None where it is gone or only waits to be taken note of."""
    line = _line(f"/proc/{pid}/stat", whole=True)
    _, bracket, rest = line.rpartition(") ")
    fields = rest.split(" ")
    if not bracket or len(fields) < 20 or fields[0] in "ZXx":
        return None
    return int(fields[19]) if fields[19].isdecimal() else None


def _read(place: str, uid: int) -> bytes:
    handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        there = os.fstat(handle)
        if not stat.S_ISREG(there.st_mode):
            raise errors.InvalidResponse("It is not a plain file.")
        if there.st_uid != uid:
            raise errors.InvalidResponse("It belongs to somebody else than its directory.")
        if there.st_size > LARGEST:
            raise errors.InvalidResponse(f"It is larger than {LARGEST >> 20} MiB.")
        data = b""
        while len(data) <= LARGEST and (block := os.read(handle, max(there.st_size - len(data), 0) + 1)):
            data += block
    finally:
        os.close(handle)
    if len(data) > LARGEST:
        raise errors.InvalidResponse(f"It is larger than {LARGEST >> 20} MiB.")
    return data


def _line(place: str, *, whole: bool = False) -> str:
    """A small file of the kernel's, empty where there is none."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        text = os.read(handle, 8192).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(handle)
    return text if whole else text.strip()


def _owner(path: str) -> int:
    """Whose a path is; where it may not be asked, its nearest folder's."""
    place = Path(path)
    for one in (place, *place.parents):
        try:
            return one.lstat().st_uid
        except OSError:
            continue
    return 0


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
