"""What containers use: processor, memory, network and block devices, as the engine or the kernel counts it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from core.model.actions import Action
from core.model.refs import Ref


class Usage(msgspec.Struct, frozen=True, gc=False):
    """One running container's use. None: not known here (rootless on cgroup v1, no network of its own). `cpu_seconds`
    is the sum since its start, `cpu_percent` of one core since the reading before (100 is one core busy all the time);
    sizes are bytes, `memory` without what the kernel would give back at once (inactive file cache), `memory_limit` None
    where there is none; `network_*` and `block_*` are sums since the start."""

    ref: Ref
    cpu_percent: float | None = None
    cpu_seconds: float | None = None
    memory: int | None = None
    memory_limit: int | None = None
    network_received: int | None = None
    network_sent: int | None = None
    block_read: int | None = None
    block_written: int | None = None
    processes: int | None = None


class Usages(msgspec.Struct, frozen=True):
    """`missing`: why some or all running containers are not among the rows, as a sentence; empty where none is."""

    rows: tuple[Usage, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadUsage(Action[Usages]):
    """The use of every running container, or of those with these ids (`only`)."""

    verb = "container.stats"
    listing = True
    only: tuple[str, ...] = ()
