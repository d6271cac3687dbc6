"""Declares the panels of a container's usage: CPU, memory, network, block devices and threads."""

from charts.dashboards import links
from charts.dashboards.dashboard import Row
from charts.dashboards.panels import RED, SHARE, YELLOW, Graph, Query
from charts.dashboards.queries import CONTAINERS, once

ON = "{{engine}} on {{host}}"
LIMIT = once(f"quarterdeck_container_spec_memory_limit_bytes{{{CONTAINERS}}}", "host", "engine")


def rate_per_second(metric: str) -> str:
    """Returns the query of a counter of the selected containers as a rate per second."""
    return f"max by (host, engine) (rate(quarterdeck_container_{metric}{{{CONTAINERS}}}[$__rate_interval]))"


def gauge(metric: str) -> str:
    return once(f"quarterdeck_container_{metric}{{{CONTAINERS}}}", "host", "engine")


USAGE = Row(
    title="Usage",
    panels=(
        Graph(
            title="CPU",
            text="CPU in cores: 1 is one core.",
            queries=[Query(expr=rate_per_second("cpu_usage_seconds_total"), legend=ON)],
            decimals=2,
        ),
        Graph(
            title="Slowed by the CPU limit",
            links=(links.runbook("container-cpu-throttled"),),
            text="Part of the scheduling periods in which the container had to wait for its CPU limit. Yellow: from "
            "25 %. Red: from 50 %. No series: no CPU limit, or the engine does not report it.",
            queries=[
                Query(
                    expr=f"{rate_per_second('cpu_cfs_throttled_periods_total')} / {rate_per_second('cpu_cfs_periods_total')}",
                    legend=ON,
                ),
            ],
            unit="percentunit",
            maximum=1,
            thresholds=((0.25, YELLOW), (0.5, RED)),
        ),
        Graph(
            title="Memory",
            text="Working set: memory that the kernel cannot free at once. With cache: the file cache too. At the "
            "limit, the "
            "kernel kills a process.",
            queries=[
                Query(expr=gauge("memory_working_set_bytes"), legend=f"working set · {ON}"),
                Query(expr=gauge("memory_usage_bytes"), legend=f"with cache · {ON}"),
                Query(expr=gauge("memory_swap_bytes"), legend=f"swap · {ON}"),
                Query(expr=LIMIT, legend=f"limit · {ON}"),
            ],
            unit="bytes",
        ),
        Graph(
            title="Memory in percent of the limit",
            text="Yellow: from 80 %. Red: from 90 %. No series: no memory limit.",
            queries=[Query(expr=f"{gauge('memory_working_set_bytes')} / {LIMIT}", legend=ON)],
            unit="percentunit",
            maximum=1,
            thresholds=SHARE,
            links=(links.runbook("container-memory-near-limit"),),
        ),
        Graph(
            title="Memory limit reached",
            links=(links.runbook("container-out-of-memory"),),
            text="Times per minute in which the kernel had to free memory because of the limit, and processes that "
            "the kernel "
            "killed for it. Red: any process was killed.",
            queries=[
                Query(expr=f"{rate_per_second('memory_limit_hits_total')} * 60", legend=f"limit reached · {ON}"),
                Query(expr=f"{rate_per_second('oom_events_total')} * 60", legend=f"killed · {ON}"),
            ],
            unit="cpm",
        ),
        Graph(
            title="Network",
            text="Bytes received (in) and sent (out) per second, without loopback.",
            queries=[
                Query(expr=rate_per_second("network_receive_bytes_total"), legend=f"in · {ON}"),
                Query(expr=rate_per_second("network_transmit_bytes_total"), legend=f"out · {ON}"),
            ],
            unit="Bps",
        ),
        Graph(
            title="Block devices",
            text="Bytes read from and written to block devices per second. Reads from the file cache are not counted.",
            queries=[
                Query(expr=rate_per_second("fs_reads_bytes_total"), legend=f"read · {ON}"),
                Query(expr=rate_per_second("fs_writes_bytes_total"), legend=f"written · {ON}"),
            ],
            unit="Bps",
        ),
        Graph(
            title="Threads",
            links=(links.runbook("container-threads-near-limit"),),
            text="Threads of all processes, and their limit. At the limit, the container cannot start a process.",
            queries=[
                Query(expr=gauge("threads"), legend=f"threads · {ON}"),
                Query(expr=gauge("threads_max"), legend=f"limit · {ON}"),
            ],
        ),
    ),
)
