"""Removes unused resources as a job: containers first, then networks, volumes and images, and the build cache last.

The question listed each resource by its id. Before each kind, the engine is asked again which resources are unused. A
listed resource that is in use, was renamed or was recreated is kept, with the reason. If the connection is lost, the
job ends with UNKNOWN and lists what was removed.
"""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from core import errors
from core.lazy_dataclass import dataclass
from core.model import images, networks_and_volumes, prune
from core.model.actions import Action, Remove
from core.model.background_jobs import JobStarted
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job, JobAdapter
from runtimes.base.multi_request_change import NO_ANSWER

STEP_SECONDS = 60.0  # for one removal
CHECK_SECONDS = 20.0  # for one list of what is unused
CACHE_SECONDS = 600.0  # for the removal of a build cache
MAX_REASONS = 3  # shown in an outcome
MAX_REASON = 160  # characters


class PruneVerbs(JobAdapter, abc.ABC):
    """Serves the prune verbs of an engine that can list what it does not use, and has verbs that remove it."""

    @abc.abstractmethod
    async def _unused(self, kinds: Collection[Kind], seconds: float, *, measured: bool) -> prune.UnusedResources:
        """Lists what no running container uses. `measured`: with all sizes, if the engine measures them in time."""

    async def _remove_cache(self, action: prune.Prune, seconds: float) -> int:
        """Removes the build cache that was not used since `action.cache_used_before`. Returns the bytes that became
        free."""
        raise errors.Unsupported(
            prune.PruneBuildCache.verb, str(self.ref), self.alternative(prune.PruneBuildCache.verb)
        )

    @does(prune.FindUnused)
    async def find_unused(self, action: prune.FindUnused, seconds: float) -> prune.UnusedResources:
        return await self._unused(action.kinds, seconds, measured=True)

    @does(prune.PruneContainers)
    async def prune_containers(self, action: prune.PruneContainers, seconds: float) -> JobStarted:
        return self._start_prune(action)

    @does(prune.PruneImages)
    async def prune_images(self, action: prune.PruneImages, seconds: float) -> JobStarted:
        return self._start_prune(action)

    @does(prune.PruneNetworks)
    async def prune_networks(self, action: prune.PruneNetworks, seconds: float) -> JobStarted:
        return self._start_prune(action)

    @does(prune.PruneVolumes)
    async def prune_volumes(self, action: prune.PruneVolumes, seconds: float) -> JobStarted:
        return self._start_prune(action)

    @does(prune.PruneSystem)
    async def prune_system(self, action: prune.PruneSystem, seconds: float) -> JobStarted:
        return self._start_prune(action)

    def _start_prune(self, action: prune.Prune) -> JobStarted:
        return self.jobs.start(action.verb, lambda job: self._prune(action, job))

    async def _prune(self, action: prune.Prune, job: Job) -> Outcome:
        done = _Progress(total=len(action.pinned))
        try:
            async with asyncio.timeout(prune.TIMEOUT_SECONDS):
                for kind in prune.ORDER:
                    pinned = [one for one in action.pinned if one.ref.kind is kind and kind in action.kinds]
                    if pinned:
                        await self._prune_kind(kind, pinned, done, job)
                if action.cache_size:
                    job.progress("removing the build cache")
                    done.cache += await self._remove_cache(action, CACHE_SECONDS)
        except asyncio.CancelledError:
            job.end(done.outcome(Status.UNKNOWN, "It was stopped."))
            raise
        except TimeoutError:
            return done.outcome(Status.UNKNOWN, f"It did not end within {prune.TIMEOUT_SECONDS} s.")
        except errors.EngineError as error:
            status = Status.UNKNOWN if error.sent else Status.FAILED
            return done.outcome(status, f"The other resources were not removed: {error.full_message()}")
        return done.outcome()

    async def _prune_kind(self, kind: Kind, pinned: Sequence[prune.UnusedResource], done: _Progress, job: Job) -> None:
        """Raises EngineError if an answer is missing."""
        try:
            found = await self._unused((kind,), CHECK_SECONDS, measured=False)
        except NO_ANSWER as error:
            raise error.with_sent(False) from error
        now = {row.ref.id: row for row in found.rows if row.ref.kind is kind}
        for one in pinned:
            if reason := prune.why_kept(one, now.get(one.ref.id)):
                done.keep(one.ref, reason)
                continue
            try:
                await getattr(self, self._table[type(removal := _removal(self.ref, one))])(removal, STEP_SECONDS)
            except errors.NotFound:
                done.gone += 1
            except errors.Rejected as error:
                done.keep(one.ref, error.text or error.message)
            else:
                done.remove(one)
            job.progress(f"{done.handled} of {done.total} done")


def _removal(engine: EngineRef, one: prune.UnusedResource) -> Action[Any]:
    match one.ref.kind:
        case Kind.CONTAINER:
            return Remove(engine=engine, target=one.ref)
        case Kind.NETWORK:
            return networks_and_volumes.RemoveNetwork(engine=engine, target=one.ref)
        case Kind.VOLUME:
            return networks_and_volumes.RemoveVolume(engine=engine, target=one.ref)
        case _:
            # Under its id, so that it is removed with all its names.
            digits = one.ref.id.rpartition(":")[2]
            target = Ref(engine=engine, kind=Kind.IMAGE, id=one.ref.id, name=digits[:12])
            return images.RemoveImage(engine=engine, target=target)


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Counts what a prune has done. `size`: bytes of what was removed, as far as they were measured; `cache`: of the
    build cache."""

    total: int
    removed: Counter[Kind] = dataclasses.field(default_factory=Counter)
    size: int = 0
    cache: int = 0
    gone: int = 0
    kept: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def handled(self) -> int:
        return self.removed.total() + self.gone + len(self.kept)

    def remove(self, one: prune.UnusedResource) -> None:
        self.removed[one.ref.kind] += 1
        self.size += one.size or 0

    def keep(self, ref: Ref, reason: str) -> None:
        self.kept.append((ref.name, " ".join(reason.split())[:MAX_REASON].rstrip(". ")))

    def outcome(self, status: Status | None = None, why: str = "") -> Outcome:
        """Returns the outcome. `status`: by default as the counts say; `why`: how it ended, if not by itself."""
        parts = [_count(number, kind) for kind, number in self.removed.items()]
        parts += [f"{self.cache / 1e6:,.1f} MB of build cache"] if self.cache else []
        size = f", {self.size / 1e6:,.1f} MB" if self.size else ""
        sentences = [f"removed {' and '.join(parts)}{size}" if parts else "removed nothing"]
        if self.gone:
            sentences.append(f"{self.gone} {'was' if self.gone == 1 else 'were'} gone already")
        if self.kept:
            shown = "; ".join(f"{name} {reason}" for name, reason in self.kept[:MAX_REASONS])
            more = f"; and {len(self.kept) - MAX_REASONS} more" if len(self.kept) > MAX_REASONS else ""
            sentences.append(f"{len(self.kept)} kept: {shown}{more}")
        if status is None:
            status = Status.DONE if self.removed or self.cache else Status.NOOP
        detail = "; ".join(sentences)
        return Outcome(status=status, detail=f"{detail}. {why}" if why else detail, took=time.monotonic() - self.began)


def _count(number: int, kind: Kind) -> str:
    return f"{number} {kind}{'s' * (number != 1)}"
