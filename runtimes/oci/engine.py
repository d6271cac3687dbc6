"""Connects Quarterdeck to the OCI runtimes runc and crun, which have no daemon.

Containers are read from state directories (`state_reader`). Events come from the kernel (`events`). The program is
called only for changes (`programs`). Most state directories on a host belong to another engine, such as Docker. If that
engine is watched too, its containers are counted here but not listed, so that no container is listed twice. A
container's id is built from its directory, its name and its time of creation, because names are reused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from core import errors, file_thread
from core.model import actions, resource_usage
from core.model.container_reads import Processes, ReadProcesses
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.events import Event
from core.model.refs import Kind, Ref
from core.model.results import Document
from core.name_matching import selection
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.formats import oci_host_access, status_text
from runtimes.kernel import cgroup_reader, process_list
from runtimes.oci import decode, inspect_summaries, state_dirs, unsupported_verbs, update
from runtimes.oci.events import EventStream
from runtimes.oci.state_reader import ContainerState, Listing

R = TypeVar("R")
READ_TIMEOUT_SECONDS = 10.0


class Oci(update.UpdateVerbs):
    """Serves all verbs for the containers in one or several state directories of this machine."""

    kind = "oci"
    alternatives: ClassVar[Mapping[str, str]] = unsupported_verbs.ALTERNATIVES

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        dirs = state_dirs.parse(url)
        if options.tls is not None or options.ssh is not None:
            raise errors.BadUsage(
                f"“{url}” is a directory on this machine: it cannot be reached with TLS or ssh.",
                hint="Remove `tls` and `ssh`. To watch containers of another machine, run Quarterdeck on that machine.",
            )
        super().__init__(url, options, dirs=dirs)
        self._watched_kinds = options.watched_kinds
        self._thread = file_thread.FileThread("oci")
        self._usage = cgroup_reader.CgroupReader(named_by_id=False)
        self._locations: dict[str, tuple[str, str]] = {}  # by Quarterdeck's id: directory and the runtime's id
        self._end_times: dict[str, int] = {}
        self._exit_codes: dict[str, int] = {}

    async def aclose(self) -> None:
        await super().aclose()
        self._usage.close()
        self._thread.close()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        listing = await self._read_all(seconds)
        return Containers(rows=tuple([self._row(one) for one in listing.containers if self._is_included(one)]))

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        engine = Engine(ref=self.ref, address=str(self._states.dirs), verbs=tuple(sorted(self.verbs)))
        try:
            listing = await self._read_all(seconds)
        except errors.EngineError as error:
            return msgspec.structs.replace(engine, fault=error.full_message())
        included = [one for one in listing.containers if self._is_included(one)]
        excluded = Counter(owner for one in listing.containers if (owner := self._other_engine(one)))
        programs, notes = await self._programs.describe({one.stored.program for one in included}, seconds)
        return msgspec.structs.replace(
            engine,
            version=programs[0].version if programs else "",
            api=programs[0].spec if programs else "",
            system=f"{platform.system().lower()}/{platform.machine()}",
            storage="none",
            cgroup="2" if self._states.unified else "1",
            containers=len(included),
            running=sum(one.up for one in included),
            runtime=", ".join(f"{program.name} {program.version}" for program in programs),
            events="inotify",
            owned=tuple(sorted(excluded.items())),
            notes=(*notes, *_notes(listing, included)),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        listing = await self._read_all(seconds)
        programs, _ = await self._programs.describe((), seconds)
        counts = Counter(one.root for one in listing.containers)
        return Document(
            ref=action.targets()[0],
            data={
                "programs": [
                    {"name": one.name, "path": one.path, "version": one.version, "spec": one.spec} for one in programs
                ],
                "stateDirectories": {
                    root: {"containers": counts[root], "owner": self._states.owner_uid(root)} for root in listing.roots
                },
                "denied": list(listing.denied),
                "faults": list(listing.faults),
            },
        )

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        container = await self._find(action.target, seconds)
        spec = decode.specification(await self._read_spec(container, seconds), action.target.name)
        data = {
            "id": container.name,
            "status": container.state,
            "pid": container.stored.pid if container.alive else 0,
            "bundle": container.stored.bundle,
            "created": container.stored.created,
            "runtime": container.stored.program,
            "stateDirectory": container.root,
            "owner": container.owners[0] if container.owners else "",
            "spec": spec,
        }
        redact_json.mask_env_values(data)
        summary = inspect_summaries.summarise_container(data, self._row(container))
        reaches = oci_host_access.find_host_access_of_specification(spec, container.stored.bundle)
        return Document(ref=action.target, data=data, summary=summary, reaches=reaches)

    async def _read_spec(self, container: ContainerState, seconds: float) -> bytes:
        return await self._in_thread(partial(self._states.read_spec, container), seconds)

    @does(ReadProcesses)
    async def read_processes(self, action: ReadProcesses, seconds: float) -> Processes:
        container = await self._find(action.target, seconds)
        found = None
        if container.alive:
            found = await self._in_thread(
                partial(process_list.list_processes_of_container, container.stored.pid), seconds
            )
        if found is None:
            raise process_list.not_visible(action.target, str(self.ref), running=container.alive)
        return found

    @does(resource_usage.ReadUsage)
    async def read_usage(self, action: resource_usage.ReadUsage, seconds: float) -> resource_usage.Usages:
        listing = await self._read_all(seconds)
        wanted: dict[Ref, int | str] = {}
        without_cgroup = 0
        for one in listing.containers:
            if one.up and self._is_included(one) and (not action.only or one.id in action.only):
                if one.stored.memory_cgroup:
                    wanted[self._row(one).ref] = one.stored.pid
                else:  # its process shares a cgroup with others, whose usage would be included
                    without_cgroup += 1
        found = await self._usage.read(wanted)
        missing = f"{without_cgroup} running containers have no cgroup of their own." if without_cgroup else ""
        return msgspec.structs.replace(found, missing=" ".join(filter(None, (missing, found.missing))))

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Reads these containers. None stands for a container that does not exist. `deadline`: seconds for all of
        them."""
        if any(container_id not in self._locations for container_id in ids):
            await self._read_all(deadline)
        found = await self._in_thread(partial(self._read_some, ids), deadline)
        return {container_id: self._row(one) if one else None for container_id, one in found.items()}

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        """Yields the events from now on. `since_ns` is ignored, because the runtimes store no events. The next list is
        complete."""
        return self._events()

    async def _events(self) -> AsyncGenerator[Sequence[Event], None]:
        await self._read_all(READ_TIMEOUT_SECONDS)
        stream = EventStream(
            *(self.ref, self._states, self._in_thread, self._is_included),
            end_times=self._end_times,
            exit_codes=self._exit_codes,
        )
        self._streams.add(stream)
        try:
            async with contextlib.aclosing(stream.batches()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._streams.discard(stream)

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _other_engine(self, container: ContainerState) -> str:
        """Returns the kind of engine that lists this container instead; empty if there is none."""
        return next((owner for owner in container.owners if owner in self._watched_kinds), "")

    def _is_included(self, container: ContainerState) -> bool:
        return not self._other_engine(container)

    def _row(self, container: ContainerState) -> Container:
        row = decode.container_row(
            decode.container_ref(self.ref, container.root, container.name, container.stored.created),
            container.stored,
            container.state,
            started=container.started_ns if container.started else None,
            ended=self._end_times.get(container.id),
            exit_code=self._exit_codes.get(container.id),
            oom=bool(container.oom_kills),
        )
        return status_text.refresh_status(msgspec.structs.replace(row, own_id=container.name), time.time())

    # ── reading the directories ──────────────────────────────────────────────────────────────────────────────────

    async def _read_all(self, seconds: float) -> Listing:
        listing = await self._in_thread(self._states.read_all, seconds)
        self._locations = {one.id: (one.root, one.name) for one in listing.containers}
        await self._identify(seconds)
        return listing

    async def _find(self, target: Ref, seconds: float) -> ContainerState:
        if target.id not in self._locations:
            await self._read_all(seconds)
        container = (await self._in_thread(partial(self._read_some, (target.id,)), seconds))[target.id]
        if container is None:
            raise self._gone(target.name)
        return container

    def _read_some(self, ids: Sequence[str]) -> dict[str, ContainerState | None]:
        found: dict[str, ContainerState | None] = {}
        for container_id in ids:
            location = self._locations.get(container_id)
            one = self._states.read_container(*location) if location else None
            # A newer container may have the same name.
            found[container_id] = one if one and one.id == container_id and self._is_included(one) else None
        return found

    async def _in_thread(self, read: Callable[[], R], seconds: float = READ_TIMEOUT_SECONDS) -> R:
        """Runs a function in the engine's one thread. A bundle may be on a disk that does not respond, and the cache of
        `StateReader` needs one reader at a time."""
        try:
            return await self._thread.run(read, seconds)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"The state directories of {self.ref} could not be read within {seconds:.0f} s.",
                sent=False,
                hint="Check the disks: a bundle may be on a disk that does not respond.",
            ) from error

    def _gone(self, name: str) -> errors.NotFound:
        return errors.NotFound(f"{self.ref} has no container {name}.", hint=selection.list_hint(Kind.CONTAINER))

    async def _ask_identity(self, seconds: float) -> None:
        """Builds the engine's id from this machine's id and the directories. No program is called."""
        dirs = sorted(map(os.path.realpath, self._states.dirs.patterns))
        identity = hashlib.sha256("\0".join((_machine_id() or self.ref.host, *dirs)).encode()).hexdigest()
        self._register(str(self._states.dirs), identity, self.ref)


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _notes(listing: Listing, included: Sequence[ContainerState]) -> list[str]:
    notes = [f"Could not read {denied}." for denied in listing.denied]
    if listing.faults:
        more = f", and {len(listing.faults) - 1} more" if len(listing.faults) > 1 else ""
        notes.append(f"Left out: {listing.faults[0]}{more}")
    owners = Counter(one.owners[0] for one in included if one.owners)
    notes += [
        f"{count} of its containers belong to {owner}: add that engine to see more about them."
        for owner, count in sorted(owners.items())
    ]
    return notes
