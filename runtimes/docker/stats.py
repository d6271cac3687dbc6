"""Reads the resource usage of Docker's containers: from the kernel for local containers, otherwise from the daemon.

The kernel's files are preferred because the daemon needs a separate request for each container. A container is local if
a control group (cgroup) of this machine is named after its id; the daemon is not asked. While the daemon prepares the
next list, the containers of the previous list are already read from the kernel.
"""

from __future__ import annotations

import abc
import asyncio
import ipaddress
import time
from collections.abc import Mapping, Sequence

import structlog

from core import errors
from core.model.refs import Ref
from core.model.resource_usage import ReadUsage, Usage, Usages
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.docker import decode, json_models
from runtimes.docker.client import EngineClient
from runtimes.docker_like.client import quoted_id
from runtimes.formats import json_decoder
from runtimes.kernel import cgroup_reader, cpu_percent
from runtimes.transport import connect

log = structlog.get_logger(__name__)
MAX_CONCURRENT = 8  # requests; the client has sixteen connections, and other commands need some too
MAX_AGE = 50.0  # seconds, of what is read regularly of a container that does nothing
RESERVED_SECONDS = 1.0  # of the deadline, to return what has arrived instead of failing with all of it


class StatsVerbs(EngineClient, abc.ABC):
    """Serves the verb that reads the resource usage of containers."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._kernel = cgroup_reader.CgroupReader()
        self._cpu = cpu_percent.CpuPercent()
        self._last_listed: Mapping[Ref, int] = {}
        self._without_cgroups = 0

    @does(ReadUsage)
    async def read_usage(self, action: ReadUsage, seconds: float) -> Usages:
        ends = time.monotonic() + seconds
        if action.running:
            return await self._read_known(action.running, ends)
        only = frozenset(action.only)
        known = {ref: pid for ref, pid in self._last_listed.items() if not only or ref.id in only}
        response, early = await asyncio.gather(
            self._request("GET", "/containers/json", seconds), self._kernel.read(known), return_exceptions=True
        )
        if isinstance(response, BaseException):
            raise response
        if isinstance(early, BaseException):
            raise early
        rows = await self._decoder.all_containers(response.body)
        running = [row.ref for row in rows if not only or row.ref.id in only]
        local = self._may_be_local()
        if local and not only:
            self._last_listed = dict.fromkeys(running, 0)
        found = {usage.ref: usage for usage in early.rows}
        if local and (new := [ref for ref in running if ref not in found]):
            later = await self._kernel.read(dict.fromkeys(new, 0))
            found |= {usage.ref: usage for usage in later.rows}
        missing = ""
        if remote := [ref for ref in running if ref not in found]:
            usages, missing = await self._ask_twice(remote, ends - time.monotonic() - RESERVED_SECONDS)
            found |= {usage.ref: usage for usage in usages}
        return Usages(rows=tuple([found[ref] for ref in running if ref in found]), missing=missing)

    async def _read_known(self, running: Sequence[Ref], ends: float) -> Usages:
        """Reads the containers that the caller knows to run: local ones from the kernel, the others from the daemon."""
        known = dict.fromkeys(running, 0)
        local = await self._kernel.read(known, first_pause=0, max_age=MAX_AGE) if self._may_be_local() else None
        rows = {usage.ref: usage for usage in local.rows} if local is not None else {}
        remote = [ref for ref in running if ref not in rows]
        if not remote:
            return Usages(rows=tuple(rows.values()), from_kernel=True)
        self._note_hidden_cgroups(hidden=local is not None and not rows)
        usages, missing = await self._ask_stats(remote, ends - time.monotonic() - RESERVED_SECONDS)
        return Usages(rows=(*rows.values(), *usages), missing=missing)

    def _note_hidden_cgroups(self, *, hidden: bool) -> None:
        """Logs how a Quarterdeck in a container would see the control groups of the others, once it has seen none of
        them twice: one reading may be too early for a new container."""
        self._without_cgroups = self._without_cgroups + 1 if hidden else 0
        if self._without_cgroups == 2 and connect.in_container():
            log.info(
                "The usage of containers was read from the engine, because Quarterdeck cannot see their control"
                " groups.",
                engine=str(self.ref),
                hint="Mount /sys/fs/cgroup of the host read-only into Quarterdeck's container: the engine then has"
                " less to do.",
            )

    async def aclose(self) -> None:
        self._kernel.close()
        await super().aclose()

    def _may_be_local(self) -> bool:
        endpoint = self._http.endpoint
        if endpoint.scheme == "unix":
            return True
        try:
            return endpoint.scheme == "tcp" and ipaddress.ip_address(endpoint.host).is_loopback
        except ValueError:
            return endpoint.host == "localhost"

    async def _ask_twice(self, refs: Sequence[Ref], seconds: float) -> tuple[Sequence[Usage], str]:
        """Asks the daemon, and once more for the containers whose CPU percentage needs a second reading."""
        began = time.monotonic()
        rows, missing = await self._ask_stats(refs, seconds)
        took = time.monotonic() - began
        incomplete = [row.ref for row in rows if row.cpu_percent is None]
        if incomplete and took + cgroup_reader.FIRST_PAUSE < (seconds - took) / 2:
            await asyncio.sleep(max(0.0, cgroup_reader.FIRST_PAUSE - took))
            again, _ = await self._ask_stats(incomplete, seconds - (time.monotonic() - began))
            later = {row.ref: row for row in again}
            rows = [later.get(row.ref, row) for row in rows]
        return rows, missing

    async def _ask_stats(self, refs: Sequence[Ref], seconds: float) -> tuple[Sequence[Usage], str]:
        """Asks the daemon, a few requests at a time. The text says how many containers are missing, and why."""
        slots, ends = asyncio.Semaphore(MAX_CONCURRENT), time.monotonic() + seconds
        faults: list[str] = []

        async def one(ref: Ref) -> Usage | None:
            async with slots:
                target = f"/containers/{quoted_id(ref)}/stats?stream=false&one-shot=true"
                if (left := ends - time.monotonic()) <= 0:
                    faults.append("there was no time left to ask")
                    return None
                try:
                    response = await self._request("GET", target, left, name=ref.name)
                    stats = json_decoder.decode_json(json_models.Stats, response.body)
                except errors.NotFound:
                    return None  # it has ended since the list
                except errors.EngineError as error:
                    faults.append(error.message)
                    return None
            if stats.ended:
                return None
            percent = self._cpu.percent(ref.id, time.monotonic(), stats.cpu_seconds)
            return decode.usage(ref, stats, percent, self._info.memory)

        usages = await asyncio.gather(*(one(ref) for ref in refs))
        self._cpu.forget_old(time.monotonic())
        missing = f"{len(faults)} of {len(refs)} are missing: {faults[0].rstrip('.')}." if faults else ""
        return [row for row in usages if row is not None], missing
