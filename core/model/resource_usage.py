"""Defines the resource usage of containers: processor, memory, network and block devices, as the engine or the kernel
counts it."""

from __future__ import annotations

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.refs import Ref


class Point(msgspec.Struct, frozen=True, gc=False):
    """One past reading. `at`: unix seconds, rounded. None: unknown. Sizes are bytes; rates are bytes per second since
    the reading before."""

    at: int
    cpu_percent: float | None
    memory: float | None
    network_received: float | None
    network_sent: float | None
    block_read: float | None
    block_written: float | None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Describes one running container's usage. None: unknown (rootless on cgroup v1, no own network). `cpu_seconds`:
    total since its start; `cpu_percent`: since the previous reading, 100 is one busy core. Sizes are bytes. `memory`
    excludes what the kernel can free at once (inactive file cache), `memory_usage` includes it; `memory_limit` is None
    without a limit. `memory_failures`: how often the limit was reached; `oom_kills`: processes that the kernel killed
    for it. `network_*` and `block_*` are totals since the start. `cpu_periods`: scheduling periods with a CPU limit;
    `throttled_*`: those in which the limit was reached, and how long the container waited. `points`: past readings, the
    oldest first, if they were asked for."""

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
    process_limit: int | None = None
    memory_usage: int | None = None
    memory_failures: int | None = None
    swap: int | None = None
    oom_kills: int | None = None
    cpu_periods: int | None = None
    throttled_periods: int | None = None
    throttled_seconds: float | None = None
    points: tuple[Point, ...] = ()


class Usages(msgspec.Struct, frozen=True):
    """`missing`: a sentence why some running containers are not among the rows; empty if none is missing.
    `from_kernel`: all rows were read from the kernel's files, so reading them again soon costs the engine nothing."""

    rows: tuple[Usage, ...]
    missing: str = ""
    from_kernel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadUsage(Action[Usages]):
    """The usage of all running containers. `only`: of the containers with these ids. `running`: the containers that
    run, if the caller knows them; an engine whose usage is in the kernel's files is then not asked, and the first
    reading of a container has no CPU percentage. `since`: past readings from this time on (unix seconds), which only a
    process that watches the engine has; 0: only the present usage."""

    verb = "container.stats"
    listing = True
    only: tuple[str, ...] = ()
    running: tuple[Ref, ...] = ()
    since: float = 0
