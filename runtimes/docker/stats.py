"""The part of Docker that tells what containers use: from the kernel where they are this machine's, else from the
daemon, which takes a request for each.

Whether a daemon is here is not asked: a container whose id is the name of a cgroup here is. While the daemon lists what
runs, what ran the last time is read already.
"""

from __future__ import annotations

import abc
import asyncio
import ipaddress
import time
from collections.abc import Mapping, Sequence

from core import errors
from core.model.refs import Ref
from core.model.usage import ReadUsage, Usage, Usages
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.options import EngineOptions
from runtimes.docker import decode_resources
from runtimes.docker.client import EngineClient, path_of
from runtimes.formats import decoding
from runtimes.kernel import cgroup_reader
from runtimes.transport.endpoint import Endpoint

AT_ONCE = 8  # requests; the client has sixteen connections, and others want to ask too
LEFT = 1.0  # seconds kept back, to tell what came rather than fail with all of it


class StatsVerbs(EngineClient, abc.ABC):
    memory_of_machine = 0

    def __init__(self, url: str, options: EngineOptions = DEFAULTS, *, host: str = "") -> None:
        super().__init__(url, options, host=host)
        self._reader = cgroup_reader.Reader()
        self._shares = cgroup_reader.CpuPercent()
        self._ran: Mapping[Ref, int] = {}

    @abc.abstractmethod
    def _endpoint(self) -> Endpoint: ...

    @does(ReadUsage)
    async def read_usage(self, action: ReadUsage, seconds: float) -> Usages:
        ends = time.monotonic() + seconds
        only = frozenset(action.only)
        known = {ref: pid for ref, pid in self._ran.items() if not only or ref.id in only}
        answer, early = await asyncio.gather(
            self._ask("GET", "/containers/json", seconds), self._reader.read(known), return_exceptions=True
        )
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(early, BaseException):
            raise early
        rows = self._words().listed(answer.body)
        running = [row.ref for row in rows if not only or row.ref.id in only]
        here = self._may_be_here()
        if here and not only:
            self._ran = dict.fromkeys(running, 0)
        found = {usage.ref: usage for usage in early.rows}
        if here and (new := [ref for ref in running if ref not in found]):
            later = await self._reader.read(dict.fromkeys(new, 0))
            found |= {usage.ref: usage for usage in later.rows}
        missing = ""
        if away := [ref for ref in running if ref not in found]:
            told, missing = await self._asked(away, ends - time.monotonic() - LEFT)
            found |= {usage.ref: usage for usage in told}
        return Usages(rows=tuple([found[ref] for ref in running if ref in found]), missing=missing)

    async def aclose(self) -> None:
        self._reader.close()
        await super().aclose()

    def _may_be_here(self) -> bool:
        endpoint = self._endpoint()
        if endpoint.scheme == "unix":
            return True
        try:
            return endpoint.scheme == "tcp" and ipaddress.ip_address(endpoint.host).is_loopback
        except ValueError:
            return endpoint.host == "localhost"

    async def _asked(self, refs: Sequence[Ref], seconds: float) -> tuple[Sequence[Usage], str]:
        """From the daemon, a few at once; a second time for those whose share of the processor cannot be told yet."""
        began = time.monotonic()
        rows, missing = await self._stats(refs, seconds)
        took = time.monotonic() - began
        first = [row.ref for row in rows if row.cpu_percent is None]
        if first and took + cgroup_reader.FIRST_PAUSE < (seconds - took) / 2:
            await asyncio.sleep(max(0.0, cgroup_reader.FIRST_PAUSE - took))
            again, _ = await self._stats(first, seconds - (time.monotonic() - began))
            later = {row.ref: row for row in again}
            rows = [later.get(row.ref, row) for row in rows]
        return rows, missing

    async def _stats(self, refs: Sequence[Ref], seconds: float) -> tuple[Sequence[Usage], str]:
        gate, ends = asyncio.Semaphore(AT_ONCE), time.monotonic() + seconds
        faults: list[str] = []

        async def one(ref: Ref) -> Usage | None:
            async with gate:
                target = f"/containers/{path_of(ref)}/stats?stream=false&one-shot=true"
                if (left := ends - time.monotonic()) <= 0:
                    faults.append("there was no time left to ask")
                    return None
                try:
                    answer = await self._ask("GET", target, left, about=ref.name)
                    stats = decoding.decode(decode_resources.Stats, answer.body)
                except errors.NotFound:
                    return None  # it ended meanwhile
                except errors.EngineError as error:
                    faults.append(error.message)
                    return None
            if stats.ended:
                return None
            share = self._shares.percent(ref.id, time.monotonic(), stats.cpu_seconds)
            return decode_resources.usage(ref, stats, share, self.memory_of_machine)

        told = await asyncio.gather(*(one(ref) for ref in refs))
        self._shares.forget_old(time.monotonic())
        missing = f"{len(faults)} of {len(refs)} are missing: {faults[0].rstrip('.')}." if faults else ""
        return [row for row in told if row is not None], missing
