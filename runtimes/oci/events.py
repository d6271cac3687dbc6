"""Watches OCI containers and yields their events. A container is read when the kernel reports a change.

`kernel_watches` only marks a container as changed. Events are the differences between the container's last state and
its current state. So a slow reader misses intermediate states, but never the current one. The kernel does not report
two changes: a new state directory, and a pause, which changes no file. Both are checked at intervals. Events of one
container are in the order in which they happened. Events of different containers are in the order in which the
containers were read.

Times of creation and start come from the kernel or the runtime. The time of an end, a removal or a pause is when the
kernel reported the change. The exit code is known only to the parent process, so these events do not contain it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from core import errors
from core.model.events import Event
from core.model.refs import EngineRef
from runtimes.formats import event_attributes
from runtimes.oci import decode
from runtimes.oci.kernel_watches import KernelWatches, Key
from runtimes.oci.state_reader import ContainerState, StateReader, is_running

R = TypeVar("R")
POLL_SECONDS = 2.0  # between checks for changes without a notice


class EventStream:
    """Yields the events of one subscription. `is_included`: whether this engine lists a container. `end_times`: when
    containers ended, in nanoseconds, by their ids in Quarterdeck; `exit_codes`: with which code, as far as known. This
    class adds to both."""

    def __init__(
        self,
        engine: EngineRef,
        states: StateReader,
        run_in_thread: RunInThread,
        is_included: Callable[[ContainerState], bool],
        *,
        end_times: dict[str, int],
        exit_codes: dict[str, int],
    ) -> None:
        self._engine = engine
        self._states = states
        self._run = run_in_thread
        self._is_included = is_included
        self._end_times, self._exit_codes = end_times, exit_codes
        self._containers: dict[Key, ContainerState] = {}
        self._oom_kills: dict[Key, int] = {}
        self._watches: KernelWatches | None = None

    async def batches(self) -> AsyncGenerator[Sequence[Event], None]:
        """Yields batches of events. The first batch is empty: from then on no event is missed. Raises Unreachable."""
        watches = self._watches = KernelWatches(self._states, self._process_ended)
        try:
            self._watch_dirs(watches, await self._run(self._states.refresh_dirs))
            watches.changed_dirs.clear()  # their containers are read now
            listing = await self._run(self._states.read_all)
            for container in listing.containers:
                self._store(watches, container)
            # What changed after it was read and before it was watched.
            watches.changed |= dict.fromkeys(self._containers)
            yield ()
            loop = asyncio.get_running_loop()
            due = loop.time() + POLL_SECONDS
            while True:
                if not watches.pending:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(due):
                            await watches.woken.wait()
                watches.woken.clear()
                if not watches.pending or loop.time() >= due:
                    await self._check_all(watches)
                    due = loop.time() + POLL_SECONDS
                if batch := await self._read_changed(watches):
                    yield batch
        finally:
            self._watches = None
            watches.close()

    def mark(self, root: str, name: str) -> None:
        """Marks a container as changed. Call it after a change of that container, so that its events are yielded at
        once."""
        if self._watches is not None:
            self._watches.mark(root, name)

    def _process_ended(self, key: Key) -> None:
        if (container := self._containers.get(key)) is not None:
            self._end_times.setdefault(container.id, time.time_ns())

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _check_all(self, watches: KernelWatches) -> None:
        """Finds changes that the kernel does not report: new and removed directories, pauses, and ends without a
        pidfd."""
        roots = await self._run(self._states.refresh_dirs)
        self._watch_dirs(watches, roots)
        for container in self._containers.values():
            if container.root not in roots:
                watches.changed_dirs[container.root] = None
        changed = await self._run(partial(self._find_changed, watches, list(self._containers.values())))
        watches.changed |= dict.fromkeys(changed)

    def _find_changed(self, watches: KernelWatches, containers: Sequence[ContainerState]) -> list[Key]:
        return [
            key
            for container in containers
            if not watches.has_folder(key := (container.root, container.name))
            or (container.up and self._states.is_frozen(container.stored) != (container.state == "paused"))
            or (container.alive and not watches.has_process(key) and not is_running(container.stored))
        ]

    async def _read_changed(self, watches: KernelWatches) -> list[Event]:
        roots, watches.changed_dirs = list(watches.changed_dirs), {}
        for root in roots:
            watches.watch_dir(root)
            watches.changed |= dict.fromkeys(key for key in self._containers if key[0] == root)
            names = await self._run(partial(_container_names, root))
            watches.changed |= dict.fromkeys((root, name) for name in names)
        changed, watches.changed = list(watches.changed), {}
        events: list[Event] = []
        # A folder is watched before it is read, so that a change in between is noticed.
        for key in changed:
            watches.watch_folder(key)
        for key, (container, oom_kills) in (await self._run(partial(self._read, changed))).items():
            events += self._compare(watches, key, container, oom_kills)
        return events

    def _read(self, keys: Collection[Key]) -> dict[Key, tuple[ContainerState | None, int | None]]:
        """Reads each container and the number of its OOM kills."""
        found: dict[Key, tuple[ContainerState | None, int | None]] = {}
        for root, name in keys:
            container = self._states.read_container(root, name)
            if container is not None and not self._is_included(container):
                container = None
            newest = container or self._containers.get((root, name))
            oom_kills = self._states.oom_kills(newest.stored) if newest is not None else None
            found[root, name] = (container, oom_kills)
        return found

    # ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────

    def _compare(
        self, watches: KernelWatches, key: Key, container: ContainerState | None, oom_kills: int | None
    ) -> list[Event]:
        before, now = self._containers.get(key), time.time_ns()
        events: list[Event] = []
        if before is not None and (container is None or container.id != before.id):
            if oom_kills is not None and container is None:
                events += self._oom_events(key, before, oom_kills, now)
            if before.up:
                events.append(self._exit_event(watches, key, before, self._end_times.get(before.id, now)))
            events.append(self._event("delete", before, now))
            self._forget(watches, key)
            before = None
        if container is None:
            return events
        if before is None:
            events.append(self._event("create", container, container.stored.created_ns or now))
        if container.started and (before is None or not before.started):
            events.append(self._event("start", container, container.started_ns or now))
        if before is None:
            self._store(watches, container, oom_kills=0)
        if oom_kills is not None:
            events += self._oom_events(key, container, oom_kills, now)
        if before is not None and before.stored.limits_digest != container.stored.limits_digest:
            events.append(self._event("update", container, now))
        old_state = "running" if before is None or not before.started else before.state
        if container.state == "exited" and old_state != "exited" and (before is None or before.alive):
            at_ns = self._end_times.setdefault(container.id, now)
            events.append(self._exit_event(watches, key, container, at_ns))
        elif container.up and old_state != container.state:
            events.append(self._event("pause" if container.state == "paused" else "resume", container, now))
        if before is not None:
            self._store(watches, container)
        return events

    def _oom_events(self, key: Key, container: ContainerState, oom_kills: int, now: int) -> list[Event]:
        before = self._oom_kills.get(key, 0)
        self._oom_kills[key] = oom_kills
        return [self._event("oom", container, now)] if oom_kills > before else []

    def _exit_event(self, watches: KernelWatches, key: Key, container: ContainerState, at_ns: int) -> Event:
        event = self._event("exit", container, at_ns)
        if (code := watches.exit_code(key)) is None:
            return event
        self._exit_codes[container.id] = code
        return msgspec.structs.replace(event, attrs={**event.attrs, "exit_code": str(code)})

    def _event(self, action: str, container: ContainerState, at_ns: int) -> Event:
        ref = decode.container_ref(self._engine, container.root, container.name, container.stored.created)
        labels = event_attributes.labels(container.stored.annotations) if action == "create" else None
        return decode.event(at_ns, action, ref, decode.image(container.stored), labels)

    # ── storing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _store(self, watches: KernelWatches, container: ContainerState, *, oom_kills: int | None = None) -> None:
        """Stores a container's state, and watches what can still change. `oom_kills`: the number before; None for the
        current number."""
        key = (container.root, container.name)
        if not self._is_included(container):
            return
        new = key not in self._containers
        self._containers[key] = container
        watches.watch_folder(key)
        if new:
            self._oom_kills[key] = (self._states.oom_kills(container.stored) or 0) if oom_kills is None else oom_kills
        if container.alive:
            watches.watch_process(key, container)
            watches.watch_memory(key, container)
        else:
            watches.unwatch_process(key)
            watches.unwatch_memory(key)

    def _forget(self, watches: KernelWatches, key: Key) -> None:
        container = self._containers.pop(key, None)
        if container is not None:
            self._end_times.pop(container.id, None)
            self._exit_codes.pop(container.id, None)
        self._oom_kills.pop(key, None)
        watches.unwatch(key)

    def _watch_dirs(self, watches: KernelWatches, roots: Collection[str]) -> None:
        """Marks each directory for reading that is new or cannot be watched."""
        for root in roots:
            if not watches.has_folder((root, "")):
                watches.watch_dir(root)
                watches.changed_dirs[root] = None


class RunInThread(Protocol):
    """Runs a function that blocks on files, with a timeout."""

    def __call__(self, read: Callable[[], R]) -> Awaitable[R]: ...


def _container_names(root: str) -> list[str]:
    try:
        return os.listdir(root)  # noqa: PTH208 (only the names are needed)
    except PermissionError as error:
        raise errors.Unreachable(
            f"The state directory {root} cannot be read now: {error.strerror}.",
            hint="Check the owner and the mode of the directory.",
        ) from error
    except OSError:
        return []
