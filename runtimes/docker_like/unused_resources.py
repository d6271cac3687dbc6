"""Asks a Docker-like engine which resources no running container uses, and how much of the disk each of them takes.

The sizes come from `/system/df`. A large engine needs minutes for it, and some engines refuse it while another
measurement runs. If it needs more than MEASURE_SECONDS, the sizes stay unknown. The lists are read after the sizes, so
they are new. If a part of a list cannot be decoded, no resource is reported as unused, because a container that was
skipped may use it.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from typing import TypeVar

from core import errors
from core.lazy_dataclass import dataclass
from core.model.prune import CacheRecord, UnusedResource, UnusedResources
from core.model.refs import Kind
from runtimes.base.prune import PruneVerbs
from runtimes.docker_like.client import HttpEngineClient, seconds_left
from runtimes.formats import json_decoder, skipped_data

MEASURE_SECONDS = 8.0

T = TypeVar("T")


class UnusedVerbs(HttpEngineClient, PruneVerbs, abc.ABC):
    """Serves the prune verbs."""

    async def _unused(self, kinds: Collection[Kind], seconds: float, *, measured: bool) -> UnusedResources:
        ends = time.monotonic() + seconds
        sizes = await self._measure(min(MEASURE_SECONDS, seconds / 2)) if measured else None
        rows = await self._candidates(kinds, sizes or Sizes(), ends)
        return UnusedResources(rows=tuple(rows), measured=sizes is not None, cache=() if sizes is None else sizes.cache)

    @abc.abstractmethod
    async def _candidates(self, kinds: Collection[Kind], sizes: Sizes, ends: float) -> Sequence[UnusedResource]:
        """Lists the resources of these kinds that no running container uses."""

    @abc.abstractmethod
    def _decode_sizes(self, body: bytes) -> Sizes:
        """Decodes the answer to `/system/df`."""

    async def _measure(self, seconds: float) -> Sizes | None:
        """Returns None if the engine does not measure in time, or refuses."""
        try:
            return self._decode_sizes((await self._request("GET", "/system/df", seconds)).body)
        except errors.EngineError:
            return None

    async def _rows(self, kind: type[T], path: str, ends: float, *, whole: bool = False) -> list[T]:
        """Returns the rows of a list. Raises InvalidResponse if a part of a row cannot be decoded; `whole`: also if a
        whole row is left out."""
        response = await self._request("GET", path, seconds_left(ends))
        left_out = skipped_data.Tally(self.skipped)
        rows = await json_decoder.decode_all_rows(kind, response.body, left_out)
        self._check_complete(left_out, whole=whole)
        return rows

    def _check_complete(self, left_out: skipped_data.Tally, *, whole: bool = False) -> None:
        if left_out.own[skipped_data.FIELD] or (whole and left_out.own[skipped_data.ROW]):
            raise errors.InvalidResponse(
                f"{self.ref} sent a list that could not be decoded completely, so Quarterdeck cannot tell which"
                " resources are unused.",
                sent=False,
                hint="Remove single resources by their names, such as with rm or rmi. Quarterdeck's log names what"
                " could not be decoded.",
            )


class ResourceUsers:
    """Knows which containers use what. `add` is called once for each container, with everything that it uses as
    `network NAME`, `volume NAME`, `image ID` and so on."""

    def __init__(self) -> None:
        self._stopped: dict[str, set[str]] = {}
        self._busy: set[str] = set()

    def add(self, container_id: str, used: Iterable[str], *, stopped: bool) -> None:
        for key in used:
            if stopped:
                self._stopped.setdefault(key, set()).add(container_id)
            else:
                self._busy.add(key)

    def find(self, *keys: str) -> tuple[str, ...] | None:
        """Returns the stopped containers that use a resource, by any of its names; None if another one uses it."""
        if not self._busy.isdisjoint(keys):
            return None
        return tuple(sorted({user for key in keys for user in self._stopped.get(key, ())}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Holds measured sizes in bytes: by id, of a container what it wrote, and of an image what no other image shares;
    by name, of a volume. `cache`: the build cache that no build uses."""

    containers: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, int] = field(default_factory=dict)
    cache: tuple[CacheRecord, ...] = ()
