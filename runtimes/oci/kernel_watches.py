"""Watches OCI containers through the kernel, and collects which containers must be read again.

The kernel reports changes through inotify (each state directory and each container's folder), through a pidfd (the end
of each first process) and through the memory control group (cgroup), which reports that it ran out of memory. A report
may come twice or late, because it only marks a container as changed. If the kernel cannot report a change (a limit was
reached, or the object does not exist any more), no error is raised: `EventStream` also checks everything at intervals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from core import errors
from runtimes.kernel import cgroup_state, exit_codes, inotify
from runtimes.oci.state_reader import ContainerState, StateReader, is_running

CODE_TRIES, CODE_PAUSE_SECONDS = 15, 0.02  # to read the exit code of a process that has ended
RECOUNT_SECONDS = 0.5  # after an out-of-memory notice, until the kernel has killed and counted a process
DIR_EVENTS = (
    inotify.CREATE
    | inotify.DELETE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.DELETE_SELF
    | inotify.MOVE_SELF
    | inotify.ONLY_DIRECTORIES
    | inotify.NO_SYMLINKS
)
CONTAINER_EVENTS = (
    inotify.DELETE | inotify.MOVED_TO | inotify.CLOSE_WRITE | inotify.ONLY_DIRECTORIES | inotify.NO_SYMLINKS
)

Key = tuple[str, str]
"""A state directory and the runtime's id of a container."""


class KernelWatches:
    """Collects the changes that the kernel reports. It belongs to the running event loop. `process_ended`: called when
    the first process of a container ends. Raises Unreachable."""

    def __init__(self, states: StateReader, process_ended: Callable[[Key], None]) -> None:
        self.changed: dict[Key, None] = {}  # containers to read again, in order
        self.changed_dirs: dict[str, None] = {}
        self.woken = asyncio.Event()
        self._states = states
        self._process_ended = process_ended
        self._keys: dict[int, Key] = {}  # by inotify's number of the watch; a directory has an empty name
        self._numbers: dict[Key, int] = {}
        self._processes: dict[Key, int] = {}  # pidfds
        self._ended: dict[Key, int] = {}  # pidfds of processes that have ended
        self._code_timers: dict[Key, asyncio.TimerHandle] = {}
        self._oom_notifiers: dict[Key, int] = {}  # eventfds
        self._memory_numbers: dict[Key, int] = {}  # inotify's numbers of the watches of memory.events
        self._recounts: dict[Key, asyncio.TimerHandle] = {}
        try:
            self._inotify = inotify.Inotify(self._on_inotify)
        except OSError as error:
            raise errors.Unreachable(
                f"The kernel refused to create an inotify instance: {error.strerror}.",
                hint="On Quarterdeck's host, raise fs.inotify.max_user_instances with sysctl. If that is high enough,"
                " raise Quarterdeck's limit of open files.",
            ) from error

    def mark(self, root: str, name: str) -> None:
        """Marks a container as changed."""
        self.changed[root, name] = None
        self.woken.set()

    @property
    def pending(self) -> bool:
        return bool(self.changed or self.changed_dirs)

    def has_folder(self, key: Key) -> bool:
        return key in self._numbers

    def has_process(self, key: Key) -> bool:
        return key in self._processes

    # ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────

    def watch_dir(self, root: str) -> None:
        self._watch((root, ""), DIR_EVENTS)

    def watch_folder(self, key: Key) -> None:
        self._watch(key, CONTAINER_EVENTS)

    def _watch(self, key: Key, mask: int) -> None:
        if key in self._numbers:
            return
        try:
            number = self._inotify.add("/".join(key).rstrip("/"), mask)
        except OSError:  # it is gone, or the kernel's limit is reached
            return
        # A folder has one number, also under another name.
        if (old := self._keys.get(number)) is not None:
            self._numbers.pop(old, None)
        self._keys[number], self._numbers[key] = key, number

    def watch_process(self, key: Key, container: ContainerState) -> None:
        if key in self._processes:
            return
        try:
            handle = os.pidfd_open(container.stored.pid)
        except OSError:  # it has ended in the meantime, or too many files are open
            if not is_running(container.stored):
                self.mark(*key)
            return
        if not is_running(container.stored):
            os.close(handle)
            self.mark(*key)
            return
        self._processes[key] = handle
        asyncio.get_running_loop().add_reader(handle, self._on_process_end, key)

    def watch_memory(self, key: Key, container: ContainerState) -> None:
        """Watches for OOM kills. cgroup version 1 writes to an eventfd when a group runs out of memory; version 2
        changes a file."""
        folder = container.stored.memory_cgroup
        if key in self._oom_notifiers or key in self._memory_numbers or not self._states.is_cgroup(folder):
            return
        with contextlib.suppress(OSError):
            if self._states.unified:
                number = self._inotify.add(f"{folder}/memory.events", inotify.MODIFY)
                self._keys[number], self._memory_numbers[key] = key, number
                return
            handle = cgroup_state.open_oom_notifier(folder)
            self._oom_notifiers[key] = handle
            asyncio.get_running_loop().add_reader(handle, self._on_out_of_memory, key)

    def exit_code(self, key: Key) -> int | None:
        """Returns the code with which the first process of a container has ended; None if it is not known."""
        handle = self._ended.get(key, self._processes.get(key))
        return None if handle is None else exit_codes.read_exit_code(handle)

    def unwatch_process(self, key: Key) -> None:
        _close(self._processes.pop(key, None))
        _close(self._ended.pop(key, None))
        if (timer := self._code_timers.pop(key, None)) is not None:
            timer.cancel()

    def unwatch_memory(self, key: Key) -> None:
        _close(self._oom_notifiers.pop(key, None))
        # The kernel does not end a watch when the group is removed.
        number = self._memory_numbers.pop(key, None)
        if number is not None and self._keys.get(number) == key:
            del self._keys[number]
            self._inotify.remove(number)

    def unwatch(self, key: Key) -> None:
        self.unwatch_process(key)
        self.unwatch_memory(key)
        number = self._numbers.pop(key, None)
        if number is not None:
            self._keys.pop(number, None)
            self._inotify.remove(number)

    def close(self) -> None:
        for timer in self._recounts.values():
            timer.cancel()
        self._recounts.clear()
        for key in [*self._processes, *self._ended]:
            self.unwatch_process(key)
        for key in list(self._oom_notifiers):
            self.unwatch_memory(key)
        self._inotify.close()

    # ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_inotify(self, number: int, mask: int, name: str) -> None:
        if mask & inotify.OVERFLOW:
            self.changed_dirs |= dict.fromkeys(root for root, _ in self._numbers)
        elif (key := self._keys.get(number)) is not None:
            root, container = key
            if mask & inotify.IGNORED:
                del self._keys[number]
                for numbers in (self._numbers, self._memory_numbers):
                    if numbers.get(key) == number:
                        del numbers[key]
                if not container:
                    self.changed_dirs[root] = None
            elif container:
                self.changed[key] = None
            elif name:
                self.changed[root, name] = None
            else:
                self.changed_dirs[root] = None
        self.woken.set()

    def _on_process_end(self, key: Key) -> None:
        handle = self._processes.pop(key)
        asyncio.get_running_loop().remove_reader(handle)
        self._ended[key] = handle
        self._process_ended(key)
        self._mark_with_code(key, CODE_TRIES)

    def _mark_with_code(self, key: Key, tries: int) -> None:
        """Marks a container as changed as soon as its exit code is known, or a moment later without it: the code is
        reported once the parent of the process has waited for it."""
        self._code_timers.pop(key, None)
        handle = self._ended.get(key)
        if handle is not None and tries and exit_codes.read_exit_code(handle) is None and exit_codes.is_awaited(handle):
            loop = asyncio.get_running_loop()
            self._code_timers[key] = loop.call_later(CODE_PAUSE_SECONDS, self._mark_with_code, key, tries - 1)
            return
        self.mark(*key)

    def _on_out_of_memory(self, key: Key) -> None:
        if (handle := self._oom_notifiers.get(key)) is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(handle)
        self.mark(*key)
        if key not in self._recounts:
            loop = asyncio.get_running_loop()
            self._recounts[key] = loop.call_later(RECOUNT_SECONDS, self._on_recount, key)

    def _on_recount(self, key: Key) -> None:
        del self._recounts[key]
        self.mark(*key)


def _close(handle: int | None) -> None:
    if handle is not None:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
