"""Renders the resource usage of each running container as metrics, from the newest reading.

The names end like those of cAdvisor where the meaning is the same. A container's series are removed when it ends, and
all series of an engine if its last reading is too old.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from collectors.exposition import Collect, Options, Scraper
from collectors.shown_containers import Scrape
from core.metric_families import CONTAINER_LABELS, Family, counter, gauge
from core.model.resource_usage import Usage

STALE_INTERVALS = 3  # readings that may fail before the series are removed


def _gauge(name: str, text: str) -> Family:
    return gauge(f"container_{name}", text, *CONTAINER_LABELS)


def _counter(name: str, text: str) -> Family:
    return counter(f"container_{name}", text, *CONTAINER_LABELS)


Value = Callable[[Usage], float | int | None]
VALUES: Sequence[tuple[Family, Value]] = (
    (_counter("cpu_usage_seconds_total", "CPU time used, in seconds"), lambda row: row.cpu_seconds),
    (_counter("cpu_cfs_periods_total", "Scheduling periods with a CPU limit"), lambda row: row.cpu_periods),
    (
        _counter("cpu_cfs_throttled_periods_total", "Scheduling periods in which the CPU limit was reached"),
        lambda row: row.throttled_periods,
    ),
    (
        _counter(
            "cpu_cfs_throttled_seconds_total", "Time that the container waited because of its CPU limit, in seconds"
        ),
        lambda row: row.throttled_seconds,
    ),
    (_gauge("memory_usage_bytes", "Memory used, with the file cache, in bytes"), lambda row: row.memory_usage),
    (
        _gauge("memory_working_set_bytes", "Memory used, without memory that the kernel can free at once, in bytes"),
        lambda row: row.memory,
    ),
    (
        _gauge("spec_memory_limit_bytes", "Memory limit, in bytes; no series without a limit"),
        lambda row: row.memory_limit,
    ),
    (_gauge("memory_swap_bytes", "Swap space used, in bytes"), lambda row: row.swap),
    (
        _counter("memory_limit_hits_total", "Number of times that the memory limit was reached"),
        lambda row: row.memory_failures,
    ),
    (
        _counter("oom_events_total", "Processes that the kernel killed because memory ran out"),
        lambda row: row.oom_kills,
    ),
    (
        _counter("network_receive_bytes_total", "Bytes received, without loopback"),
        lambda row: row.network_received,
    ),
    (_counter("network_transmit_bytes_total", "Bytes sent, without loopback"), lambda row: row.network_sent),
    (_counter("fs_reads_bytes_total", "Bytes read from block devices"), lambda row: row.block_read),
    (_counter("fs_writes_bytes_total", "Bytes written to block devices"), lambda row: row.block_written),
    (_gauge("threads", "Threads of all processes"), lambda row: row.processes),
    (_gauge("threads_max", "Limit on the number of threads; no series without a limit"), lambda row: row.process_limit),
)


def collect(scrape: Scrape) -> Sequence[bytes]:
    labelled: dict[str, Usage] = {}
    for engine in scrape.engines:
        for mirror in engine.mirrors:
            usage = mirror.usage
            if not usage.read_at or scrape.now - usage.read_at > STALE_INTERVALS * max(usage.interval, 1.0):
                continue
            for container_id, row in usage.latest.items():
                shown = engine.containers.get(container_id)
                if shown is not None:
                    labelled[shown.labels] = row
    page = []
    for family, value in VALUES:
        start = f"{family.name}{{"
        # A broken engine may report what no counter can be; such a value would make the page invalid.
        lines = [
            f"{start}{labels}}} {number}\n"
            for labels, row in labelled.items()
            if (number := value(row)) is not None and 0 <= number < math.inf
        ]
        page.append("".join(lines).encode(errors="replace"))
    return page


def _make(options: Options) -> Collect:
    return collect


scraper = Scraper(name="container_usage", families=[family for family, _ in VALUES], make=_make)
"""Renders the resource usage of all running containers."""
