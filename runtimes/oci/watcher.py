"""What happens in state directories, as it happens: the kernel's word that something moved, then a look, then the
difference.

In: inotify on every directory and every container's folder, a pidfd on every first process, the kernel's notice that a
memory group ran out. Each only marks a container as worth a look; what is then seen is compared with what was seen
before, and the difference is the events. So nothing is queued, notices may come twice or late, and one whose reader is
slow loses intermediate states, never the present one. Some of it has no notice and is looked for every few seconds:
directories that appear, and pausing, which leaves no trace in the files. Events are in the order of what one container
went through; among containers in that of the looks.

A moment is the kernel's where there is one (made, started), otherwise that of the notice (ended, removed, paused). The
code a process ended with is its parent's alone to know: it is not among these events.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Protocol, TypeVar

from core import errors
from core.model.events import Event
from core.model.refs import EngineRef
from runtimes.kernel import inotify
from runtimes.oci import decode, state
from runtimes.oci.state import Seen

R = TypeVar("R")
RECOUNT = 0.5  # seconds after a notice of memory running out
LOOK_AROUND = 2.0  # seconds between looks for what no notice is given of
OF_A_ROOT = (
    inotify.CREATE
    | inotify.DELETE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.DELETE_SELF
    | inotify.MOVE_SELF
    | inotify.ONLY_DIRECTORIES
    | inotify.NO_SYMLINKS
)
OF_A_CONTAINER = (
    inotify.DELETE | inotify.MOVED_TO | inotify.CLOSE_WRITE | inotify.ONLY_DIRECTORIES | inotify.NO_SYMLINKS
)

Key = tuple[str, str]  # the state directory and the runtime's id


class Ask(Protocol):
    """Runs a reading where it may block, within its time."""

    def __call__(self, read: Callable[[], R]) -> Awaitable[R]: ...


class Watcher:
    """One stream's. `mine` tells which containers are this engine's to tell of; `ended` is where the moments of their
    ends are kept, in nanoseconds by our ids."""

    def __init__(
        self,
        engine: EngineRef,
        states: state.States,
        ask: Ask,
        mine: Callable[[Seen], bool],
        ended: dict[str, int],
        *,
        look_around: float = LOOK_AROUND,
    ) -> None:
        self._engine = engine
        self._states = states
        self._ask = ask
        self._mine = mine
        self._ended = ended
        self._look_around = look_around
        self._seen: dict[Key, Seen] = {}
        self._dirty: dict[Key, None] = {}
        self._dirty_roots: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._folders: dict[int, Key] = {}  # by the number of its watch; a root's has an empty name
        self._numbers: dict[Key, int] = {}
        self._processes: dict[Key, int] = {}  # pidfds
        self._memories: dict[Key, int] = {}  # eventfds
        self._recounts: dict[Key, asyncio.TimerHandle] = {}
        self._counted: dict[Key, int] = {}  # processes killed for want of memory
        self._kernel: inotify.Inotify | None = None

    async def run(self) -> AsyncGenerator[Sequence[Event], None]:
        """Batches; the first is empty and says that from now on nothing is missed. Raises Unreachable."""
        try:
            self._kernel = inotify.Inotify(self._changed)
        except OSError as error:
            raise errors.Unreachable(
                f"The kernel gives no more notices of files: {error.strerror}.",
                hint="Raise fs.inotify.max_user_instances.",
            ) from error
        try:
            self._follow_roots(await self._ask(self._states.refresh))
            self._dirty_roots.clear()  # what is there now is read next
            found = await self._ask(self._states.all)
            for seen in found.seen:
                self._take(seen)
            yield ()
            while True:
                if not (self._dirty or self._dirty_roots):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._look_around):
                            await self._woken.wait()
                self._woken.clear()
                if not (self._dirty or self._dirty_roots):
                    await self._look_everywhere()
                if batch := await self._turn():
                    yield batch
        finally:
            self._close()

    def touch(self, root: str, name: str) -> None:
        """Something was done to that container."""
        self._dirty[root, name] = None
        self._woken.set()

    # ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _changed(self, number: int, mask: int, name: str) -> None:
        if mask & inotify.OVERFLOW:
            self._dirty_roots |= dict.fromkeys(root for root, _ in self._numbers)
        elif (key := self._folders.get(number)) is not None:
            root, container = key
            if mask & inotify.IGNORED:
                del self._folders[number]
                if self._numbers.get(key) == number:
                    del self._numbers[key]
                if not container:
                    self._dirty_roots[root] = None
            elif container:
                self._dirty[key] = None
            elif name:
                self._dirty[root, name] = None
            else:
                self._dirty_roots[root] = None
        self._woken.set()

    def _ended_now(self, key: Key) -> None:
        seen = self._seen.get(key)
        self._forget_process(key)
        if seen is not None:
            self._ended.setdefault(seen.id, time.time_ns())
        self.touch(*key)

    def _out_of_memory(self, key: Key) -> None:
        if (handle := self._memories.get(key)) is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(handle)
        self.touch(*key)
        if key not in self._recounts:  # the notice comes before the kernel has killed anything, and counted it
            self._recounts[key] = asyncio.get_running_loop().call_later(RECOUNT, self._recount, key)

    def _recount(self, key: Key) -> None:
        del self._recounts[key]
        self.touch(*key)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_everywhere(self) -> None:
        """Directories that appeared or went, and what was paused or ended without a word."""
        roots = await self._ask(self._states.refresh)
        self._follow_roots(roots)
        for seen in self._seen.values():
            if seen.root not in roots:
                self._dirty_roots[seen.root] = None
        self._dirty |= dict.fromkeys(await self._ask(partial(self._moved, list(self._seen.values()))))

    def _moved(self, known: Sequence[Seen]) -> list[Key]:
        return [
            (seen.root, seen.name)
            for seen in known
            if (seen.up and self._states.frozen(seen.known) != (seen.state == "paused"))
            or (seen.root, seen.name) not in self._numbers
            or (
                seen.lives
                and (seen.root, seen.name) not in self._processes
                and state.born(seen.known.pid) != seen.known.born
            )
        ]

    async def _turn(self) -> list[Event]:
        roots, self._dirty_roots = list(self._dirty_roots), {}
        for root in roots:
            self._follow_root(root)
            self._dirty |= dict.fromkeys(key for key in self._seen if key[0] == root)
            self._dirty |= dict.fromkeys((root, name) for name in await self._ask(partial(self._names, root)))
        dirty, self._dirty = list(self._dirty), {}
        events: list[Event] = []
        # A folder is followed before it is looked at: what is written in between is told.
        for key in dirty:
            self._follow(key)
        looks = await self._ask(partial(self._look, dirty))
        for key, (seen, ooms) in looks.items():
            events += self._compared(key, seen, ooms)
        return events

    def _names(self, root: str) -> list[str]:
        try:
            return os.listdir(root)  # noqa: PTH208 (names are what is wanted)
        except PermissionError as error:
            raise errors.Unreachable(f"{root} may not be read any more: {error.strerror}.") from error
        except OSError:
            return []

    def _look(self, keys: Collection[Key]) -> dict[Key, tuple[Seen | None, int | None]]:
        looks: dict[Key, tuple[Seen | None, int | None]] = {}
        for root, name in keys:
            seen = self._states.look(root, name)
            if seen is not None and not self._mine(seen):
                seen = None
            before = self._seen.get((root, name))
            asked = seen or before
            looks[root, name] = (seen, self._states.ooms(asked.known) if asked is not None else None)
        return looks

    # ── what that means ──────────────────────────────────────────────────────────────────────────────────────────

    def _compared(self, key: Key, seen: Seen | None, ooms: int | None) -> list[Event]:
        before, now = self._seen.get(key), time.time_ns()
        told: list[Event] = []
        if before is not None and (seen is None or seen.id != before.id):
            if ooms is not None and seen is None:
                told += self._killed(key, before, ooms, now)
            if before.up:
                told.append(self._event("exit", before, self._ended.get(before.id, now)))
            told.append(self._event("delete", before, now))
            self._forget(key)
            before = None
        if seen is None:
            return told
        if before is None:
            told.append(self._event("create", seen, seen.known.created_ns or now))
        if seen.started and (before is None or not before.started):
            told.append(self._event("start", seen, seen.started_ns or now))
        if before is None:
            self._take(seen, ooms=0)
        if ooms is not None:
            told += self._killed(key, seen, ooms, now)
        if before is not None and before.known.limits != seen.known.limits:
            told.append(self._event("update", seen, now))
        was = "running" if before is None or not before.started else before.state
        if seen.state == "exited" and was != "exited" and (before is None or before.lives):
            told.append(self._event("exit", seen, self._ended.setdefault(seen.id, now)))
        elif seen.up and was != seen.state:
            told.append(self._event("pause" if seen.state == "paused" else "resume", seen, now))
        if before is not None:
            self._take(seen)
        return told

    def _killed(self, key: Key, seen: Seen, ooms: int, now: int) -> list[Event]:
        counted = self._counted.get(key, 0)
        self._counted[key] = ooms
        return [self._event("oom", seen, now)] if ooms > counted else []

    def _event(self, action: str, seen: Seen, at_ns: int) -> Event:
        ref = decode.reference(self._engine, seen.root, seen.name, seen.known.created)
        return decode.event(at_ns, action, ref, decode.image(seen.known))

    # ── following ────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, seen: Seen, *, ooms: int | None = None) -> None:
        """Keeps what was seen and follows what is not followed yet. `ooms`: how many were counted before."""
        key = (seen.root, seen.name)
        if not self._mine(seen):
            return
        new = key not in self._seen
        self._seen[key] = seen
        self._follow(key)
        if new:
            self._counted[key] = (self._states.ooms(seen.known) or 0) if ooms is None else ooms
        if seen.lives:
            self._follow_process(key, seen)
            self._follow_memory(key, seen)
        else:
            self._forget_process(key)
            self._forget_memory(key)

    def _follow_roots(self, roots: Collection[str]) -> None:
        """One that is new, or of which the kernel gives no notice, is looked at."""
        for root in roots:
            if (root, "") not in self._numbers:
                self._follow_root(root)
                self._dirty_roots[root] = None

    def _follow_root(self, root: str) -> None:
        self._follow((root, ""), OF_A_ROOT)

    def _follow(self, key: Key, mask: int = OF_A_CONTAINER) -> None:
        """One that is gone, or one too many for the kernel, is looked for every few seconds."""
        assert self._kernel is not None
        if key in self._numbers:
            return
        try:
            number = self._kernel.add("/".join(key).rstrip("/"), mask)
        except OSError:
            return
        # A folder has one number: moved to another name it keeps it.
        if (old := self._folders.get(number)) is not None:
            self._numbers.pop(old, None)
        self._folders[number], self._numbers[key] = key, number

    def _follow_process(self, key: Key, seen: Seen) -> None:
        if key in self._processes:
            return
        try:
            handle = os.pidfd_open(seen.known.pid)
        except OSError:  # it ended meanwhile, or there are too many open files: looked for every few seconds
            self._dirty_if_gone(key, seen)
            return
        if state.born(seen.known.pid) != seen.known.born:
            os.close(handle)
            self.touch(*key)
            return
        self._processes[key] = handle
        asyncio.get_running_loop().add_reader(handle, self._ended_now, key)

    def _dirty_if_gone(self, key: Key, seen: Seen) -> None:
        if state.born(seen.known.pid) != seen.known.born:
            self.touch(*key)

    def _follow_memory(self, key: Key, seen: Seen) -> None:
        """Version 1 writes to an eventfd when a group runs out of memory; version 2 changes a file. Where neither can
        be asked for, the count is compared at the container's end."""
        folder = seen.known.memory
        if key in self._memories or not self._states.inside(folder):
            return
        with contextlib.suppress(OSError):
            if self._states.unified:
                assert self._kernel is not None
                self._folders[self._kernel.add(f"{folder}/memory.events", inotify.MODIFY)] = key
                return
            handle = _notice_of(folder)
            self._memories[key] = handle
            asyncio.get_running_loop().add_reader(handle, self._out_of_memory, key)

    def _forget(self, key: Key) -> None:
        seen = self._seen.pop(key, None)
        if seen is not None:
            self._ended.pop(seen.id, None)
        self._counted.pop(key, None)
        self._forget_process(key)
        self._forget_memory(key)
        number = self._numbers.pop(key, None)
        if number is not None and self._kernel is not None:
            self._folders.pop(number, None)
            self._kernel.remove(number)

    def _forget_process(self, key: Key) -> None:
        _close(self._processes.pop(key, None))

    def _forget_memory(self, key: Key) -> None:
        _close(self._memories.pop(key, None))

    def _close(self) -> None:
        for timer in self._recounts.values():
            timer.cancel()
        self._recounts.clear()
        for key in list(self._processes):
            self._forget_process(key)
        for key in list(self._memories):
            self._forget_memory(key)
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


def _notice_of(folder: str) -> int:
    """An eventfd that is written to when a group of version 1 runs out of memory, and when it is taken away."""
    handle = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    with contextlib.ExitStack() as opened:
        try:
            asked = os.open(f"{folder}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, asked)
            control = os.open(f"{folder}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
            opened.callback(os.close, control)
            os.write(control, f"{handle} {asked}".encode())
        except OSError:
            os.close(handle)
            raise
    return handle


def _close(handle: int | None) -> None:
    if handle is not None:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
