"""OCI runtimes behind the port: containers that runc and crun keep in their state directories, with no daemon to ask.

What is there is read from the directories themselves (`oci_states`), what happens is seen by the kernel's notices
(`oci_watch`); only changes call the program (`oci_program`). Most state directories on a host belong to another engine,
docker's among them: containers of a kind that is watched here itself are left out and counted, so that none is told of
twice. A container is pinned by its directory, its name and when it was made, since names are given again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from core import errors
from core.model import actions, usage
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.events import Event
from core.model.refs import Ref
from core.model.results import Document
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.options import EngineOptions
from runtimes.formats import status_text
from runtimes.kernel import cgroup_reader
from runtimes.oci import decode, lifecycle, state, state_dirs, watcher
from runtimes.oci.state import Seen

R = TypeVar("R")
READ_WITHIN = 10.0  # seconds for one reading of the directories


class Oci(lifecycle.Changing):
    """One or several state directories of this machine. `watched_kinds`: kinds of engine whose containers are
    theirs to tell of."""

    kind = "oci"

    alternatives: ClassVar[Mapping[str, str]] = {
        "container.restart": "An OCI container runs once: whoever made it deletes it and runs its bundle again.",
        "container.logs": "A runtime keeps no logs: they went where its caller sent them, a file or the journal.",
        "container.healthcheck": "A runtime knows no health checks; exec runs any program in a container.",
        "event.list": "A runtime remembers nothing; what happens from now on is seen as it happens.",
        "image.list": "A runtime knows no images: a bundle is a folder its caller made; inspect shows what of.",
        "image.pull": "A runtime knows no images: its caller unpacks them, with skopeo and umoci for one.",
        "service.list": "A runtime knows containers only; ps shows them.",
        "service.scale": "A runtime knows containers only: its caller makes more of them.",
        "pod.list": "A runtime knows containers only; ps shows them.",
    }

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        places = state_dirs.parse(url)
        if options.tls is not None or options.ssh is not None:
            raise errors.BadUsage(
                f"“{url}” is a place on this machine: there is nobody to speak TLS or ssh to.",
                hint="Leave `tls` and `ssh` out; for another machine run Quarterdeck there.",
            )
        super().__init__(url, options, places=places)
        self._watched_kinds = options.watched_kinds
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="oci")
        self._usage = cgroup_reader.Reader(named_by_id=False)
        self._places: dict[str, tuple[str, str]] = {}  # directory and runtime's id, by ours
        self._ended: dict[str, int] = {}

    async def aclose(self) -> None:
        await super().aclose()
        self._usage.close()
        # A reading that hangs on a dead disk is not waited for.
        self._reader.shutdown(wait=False, cancel_futures=True)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        found = await self._all(seconds)
        return Containers(rows=tuple([self._row(seen) for seen in found.seen if self._mine(seen)]))

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        told = Engine(ref=self.ref, address=str(self._states.places), verbs=tuple(sorted(self.verbs)))
        try:
            found = await self._all(seconds)
        except errors.EngineError as error:
            return msgspec.structs.replace(told, fault=error.full_message())
        mine = [seen for seen in found.seen if self._mine(seen)]
        owned = Counter(owner for seen in found.seen if (owner := self._owner(seen)))
        programs, notes = await self._programs.told({seen.known.program for seen in mine}, seconds)
        return msgspec.structs.replace(
            told,
            version=programs[0].version if programs else "",
            api=programs[0].spec if programs else "",
            system=f"{platform.system().lower()}/{platform.machine()}",
            storage="none",
            cgroup="2" if self._states.unified else "1",
            containers=len(mine),
            running=sum(seen.up for seen in mine),
            runtime=", ".join(f"{program.name} {program.version}" for program in programs),
            events="inotify",
            owned=tuple(sorted(owned.items())),
            notes=(*notes, *_notes(found, mine)),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        found = await self._all(seconds)
        programs, _ = await self._programs.told((), seconds)
        inside = Counter(seen.root for seen in found.seen)
        return Document(
            ref=action.targets()[0],
            data={
                "programs": [
                    {"name": one.name, "path": one.path, "version": one.version, "spec": one.spec} for one in programs
                ],
                "stateDirectories": {
                    root: {"containers": inside[root], "owner": self._states.uid(root)} for root in found.roots
                },
                "denied": list(found.denied),
                "faults": list(found.faults),
            },
        )

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        seen = await self._find(action.target, seconds)
        spec = decode.document(await self._read(partial(self._states.document, seen), seconds))
        data = {
            "id": seen.name,
            "status": seen.state,
            "pid": seen.known.pid if seen.lives else 0,
            "bundle": seen.known.bundle,
            "created": seen.known.created,
            "runtime": seen.known.program,
            "stateDirectory": seen.root,
            "owner": seen.owners[0] if seen.owners else "",
            "spec": spec,
        }
        return Document(ref=action.target, data=redact_json.mask_env_values(data))

    @does(usage.ReadUsage)
    async def read_usage(self, action: usage.ReadUsage, seconds: float) -> usage.Usages:
        found = await self._all(seconds)
        wanted: dict[Ref, int | str] = {}
        apart = 0
        for seen in found.seen:
            if seen.up and self._mine(seen) and (not action.only or seen.id in action.only):
                if seen.known.memory:
                    wanted[self._row(seen).ref] = seen.known.pid
                else:  # its process is in somebody else's group, which is not its use
                    apart += 1
        told = await self._usage.read(wanted)
        missing = f"{apart} running here have no cgroup of their own." if apart else ""
        return msgspec.structs.replace(told, missing=" ".join(filter(None, (missing, told.missing))))

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """A look at each; None where it is gone. `deadline`: seconds for all of them."""
        if any(container not in self._places for container in ids):
            await self._all(deadline)
        found = await self._read(partial(self._looks, ids), deadline)
        return {container: None if seen is None else self._row(seen) for container, seen in found.items()}

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        """From now on, whatever `since_ns` says: a runtime remembers nothing, the list that follows is the truth."""
        return self._watch()

    async def _watch(self) -> AsyncGenerator[Sequence[Event], None]:
        await self._all(READ_WITHIN)
        watch = watcher.Watcher(self.ref, self._states, self._read, self._mine, self._ended)
        self._watches.add(watch)
        try:
            async with contextlib.aclosing(watch.run()) as stream:
                async for batch in stream:
                    yield batch
        finally:
            self._watches.discard(watch)

    # ── whose is what ────────────────────────────────────────────────────────────────────────────────────────────

    def _owner(self, seen: Seen) -> str:
        return next((owner for owner in seen.owners if owner in self._watched_kinds), "")

    def _mine(self, seen: Seen) -> bool:
        return not self._owner(seen)

    def _row(self, seen: Seen) -> Container:
        row = decode.container(
            decode.reference(self.ref, seen.root, seen.name, seen.known.created),
            seen.known,
            seen.state,
            started=seen.started_ns if seen.started else None,
            ended=self._ended.get(seen.id),
            oom=bool(seen.ooms),
        )
        return status_text.refreshed(msgspec.structs.replace(row, own_id=seen.name), time.time())

    # ── the ways to look ─────────────────────────────────────────────────────────────────────────────────────────

    async def _all(self, seconds: float) -> state.Found:
        found = await self._read(self._states.all, seconds)
        self._places = {seen.id: (seen.root, seen.name) for seen in found.seen}
        await self._identify(seconds)
        return found

    async def _find(self, target: Ref, seconds: float) -> Seen:
        """The container a change or an inspection is about, as it is now. Raises NotFound."""
        if target.id not in self._places:
            await self._all(seconds)
        seen = (await self._read(partial(self._looks, (target.id,)), seconds))[target.id]
        if seen is None:
            raise self._is_gone(target.name)
        return seen

    def _looks(self, ids: Sequence[str]) -> dict[str, Seen | None]:
        found: dict[str, Seen | None] = {}
        for container in ids:
            place = self._places.get(container)
            seen = self._states.look(*place) if place else None
            # Another one by that name, made since, is not it.
            found[container] = seen if seen is not None and seen.id == container and self._mine(seen) else None
        return found

    async def _read(self, read: Callable[[], R], seconds: float = READ_WITHIN) -> R:
        """In the one thread for it: a bundle may lie on a disk that hangs, and no two readings meet."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._reader, read)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"The state directories of {self.ref} could not be read within {seconds:.0f} s.",
                sent=False,
                hint="A bundle may lie on a disk that does not answer.",
            ) from error

    def _is_gone(self, name: str) -> errors.NotFound:
        return errors.NotFound(f"{name} is gone: {self.ref} has no such container.")

    async def _ask_identity(self, seconds: float) -> None:
        """Nobody is asked: the identity is made of this machine and of the directories that are read."""
        machine = _machine_id()
        places = sorted(map(os.path.realpath, self._states.places.patterns))
        told = "\0".join((machine or self.ref.host, *places))
        identity = hashlib.sha256(told.encode()).hexdigest()
        self._register(str(self._states.places), identity, self.ref)


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _notes(found: state.Found, mine: Sequence[Seen]) -> list[str]:
    notes = [f"Not read: {denied}." for denied in found.denied]
    if found.faults:
        more = f", and {len(found.faults) - 1} more" if len(found.faults) > 1 else ""
        notes.append(f"Left out: {found.faults[0]}{more}")
    strangers = Counter(seen.owners[0] for seen in mine if seen.owners)
    notes += [
        f"{count} of its containers belong to {owner}, which is not watched here and knows more of them."
        for owner, count in sorted(strangers.items())
    ]
    return notes
