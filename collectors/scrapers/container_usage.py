"""Renders the resource usage of each running container as metrics, from the newest reading.

The names end like those of cAdvisor where the meaning is the same. The families have the labels `host`, `engine` and
`name`. A container's series are removed when it ends, and all series of an engine if its last reading is too old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from collectors.exposition import Collect, Options, Scraper, escape, head
from core import metrics
from core.model.resource_usage import Usage
from runtimes.inventory.mirror import Mirror

P = metrics.PREFIX
STALE_INTERVALS = 3  # readings that may fail before the series are removed

Value = Callable[[Usage], float | int | None]
FAMILIES: Sequence[tuple[str, str, str, Value]] = (
    ("container_cpu_usage_seconds_total", "counter", "CPU time used", lambda row: row.cpu_seconds),
    ("container_cpu_cfs_periods_total", "counter", "Scheduling periods with a CPU limit", lambda row: row.cpu_periods),
    (
        "container_cpu_cfs_throttled_periods_total",
        "counter",
        "Scheduling periods in which the CPU limit was reached",
        lambda row: row.throttled_periods,
    ),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "counter",
        "Time that the container waited because of its CPU limit",
        lambda row: row.throttled_seconds,
    ),
    ("container_memory_usage_bytes", "gauge", "Memory, with the file cache", lambda row: row.memory_usage),
    (
        "container_memory_working_set_bytes",
        "gauge",
        "Memory without what the kernel can free at once",
        lambda row: row.memory,
    ),
    (
        "container_spec_memory_limit_bytes",
        "gauge",
        "Memory limit; no series without a limit",
        lambda row: row.memory_limit,
    ),
    ("container_memory_swap_bytes", "gauge", "Swap space used", lambda row: row.swap),
    (
        "container_memory_limit_hits_total",
        "counter",
        "Times that the memory limit was reached",
        lambda row: row.memory_failures,
    ),
    (
        "container_oom_events_total",
        "counter",
        "Processes that the kernel killed because memory ran out",
        lambda row: row.oom_kills,
    ),
    (
        "container_network_receive_bytes_total",
        "counter",
        "Bytes received, without loopback",
        lambda row: row.network_received,
    ),
    (
        "container_network_transmit_bytes_total",
        "counter",
        "Bytes sent, without loopback",
        lambda row: row.network_sent,
    ),
    ("container_fs_reads_bytes_total", "counter", "Bytes read from block devices", lambda row: row.block_read),
    ("container_fs_writes_bytes_total", "counter", "Bytes written to block devices", lambda row: row.block_written),
    ("container_processes", "gauge", "Processes and threads", lambda row: row.processes),
    (
        "container_processes_max",
        "gauge",
        "Limit of processes and threads; no series without a limit",
        lambda row: row.process_limit,
    ),
)


class _Usage:
    def __init__(self, options: Options) -> None:
        self._max_containers = options.max_containers

    def collect(self, mirrors: Sequence[Mirror], now: float) -> Sequence[bytes]:
        labelled: dict[str, Usage] = {}
        for mirror in mirrors:
            usage = mirror.usage
            if not usage.read_at or now - usage.read_at > STALE_INTERVALS * max(usage.interval, 1.0):
                continue
            host, engine = metrics.engine_labels(mirror.ref)
            prefix = f'host="{escape(host)}",engine="{escape(engine)}",name="'
            running = mirror.containers
            for key, row in list(usage.latest.items())[: self._max_containers]:
                container = running.get(key)
                if container is not None:
                    labelled[f'{prefix}{escape(container.ref.name)}"'] = row
        page = []
        for name, kind, text, value in FAMILIES:
            page.append(head(name, kind, text))
            start = f"{P}_{name}{{"
            lines = [
                f"{start}{labels}}} {number}\n"
                for labels, row in labelled.items()
                if (number := value(row)) is not None
            ]
            page.append("".join(lines).encode(errors="replace"))
        return page


def _make(options: Options) -> Collect:
    return _Usage(options).collect


scraper = Scraper(name="container_usage", make=_make)
"""Renders the resource usage of all running containers."""
