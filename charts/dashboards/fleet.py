"""Defines the dashboard of all engines: what is up and what is wrong, by engine, host and project."""

from charts.dashboards import links, panel_templates, value_mappings
from charts.dashboards.dashboard import Dashboard, Row
from charts.dashboards.panels import (
    BLUE,
    GREY,
    NONE_IS_BEST,
    RED,
    SHARE,
    YELLOW,
    Bars,
    Column,
    Graph,
    Query,
    Stat,
    Table,
)
from charts.dashboards.queries import BAD_ENDS, CONTAINERS, SELECTED, in_project, once, or_zero, with_info
from charts.dashboards.variables import CONTAINERS as CONTAINERS_VARIABLE
from charts.dashboards.variables import PROJECT

UNHEALTHY = in_project(f'quarterdeck_container_health_state{{{CONTAINERS}, health="unhealthy"}} == 1')
ENDED_BADLY = in_project(
    f'quarterdeck_container_last_end_cause{{{CONTAINERS}, cause=~"{BAD_ENDS}"}}'
    f" and on (host, engine, name) (time() - quarterdeck_container_last_end_timestamp_seconds{{{CONTAINERS}}} < 900)"
)
RESTARTED = in_project(f"increase(quarterdeck_container_restarts_total{{{CONTAINERS}}}[15m]) > 2")
MEMORY_SHARE = (
    f"quarterdeck_container_memory_working_set_bytes{{{CONTAINERS}}}"
    f" / quarterdeck_container_spec_memory_limit_bytes{{{CONTAINERS}}}"
)
THROTTLED = in_project(
    f"rate(quarterdeck_container_cpu_cfs_throttled_periods_total{{{CONTAINERS}}}[5m])"
    f" / rate(quarterdeck_container_cpu_cfs_periods_total{{{CONTAINERS}}}[5m]) > 0.25"
)
RUNNING = in_project(f'quarterdeck_container_state{{{CONTAINERS}, state="running"}} == 1')
OPEN = once("quarterdeck_incidents_open", "rule", "team", "severity", "state")
CPU = f"rate(quarterdeck_container_cpu_usage_seconds_total{{{CONTAINERS}}}[5m])"
BY_NAME = "{{name}} · {{engine}} on {{host}}"
ONE = ("host", "engine", "name")
UP = once(f"quarterdeck_engine_up{{{SELECTED}}}", *panel_templates.ENGINE)
BY_STATE = once(f"quarterdeck_containers{{{SELECTED}}}", *panel_templates.ENGINE, "state")
ENDS = f"sum by (cause) (rate(quarterdeck_container_ends_total{{{SELECTED}}}[$__rate_interval])) * 60"
NOT_RUNNING = f'quarterdeck_container_state{{{CONTAINERS}, state="running"}} == 0'
WORKING_SET = in_project(f"quarterdeck_container_memory_working_set_bytes{{{CONTAINERS}}}")


def select_problem_containers(problem: str, query: str) -> str:
    """The containers of a query with the name of their problem, each once."""
    return f'label_replace(max by (host, engine, name) ({query}), "problem", "{problem}", "", "")'


def by_project(query: str) -> str:
    """How many containers of each project a query finds."""
    counted = f"count by (project) ({with_info(once(query, *ONE), 'project')})"
    return f'sort_desc(label_replace({counted}, "project", "no project", "project", ""))'


def transferred(metric: str) -> str:
    """Bytes in a second of each engine."""
    return f"sum by (host, engine) (rate(quarterdeck_container_{metric}_bytes_total{{{CONTAINERS}}}[$__rate_interval]))"


WRONG = " or ".join(
    (
        select_problem_containers("unhealthy", UNHEALTHY),
        f'label_replace(max by (host, engine, name, cause) ({ENDED_BADLY}), "problem", "$1", "cause", "(.*)")',
        select_problem_containers("restarts repeatedly", RESTARTED),
        select_problem_containers("memory near its limit", in_project(f"{MEMORY_SHARE} > 0.9")),
        select_problem_containers("slowed by its CPU limit", THROTTLED),
    )
)

dashboard = Dashboard(
    name="fleet",
    title="Fleet",
    description="Running containers and problems, by engine, host and project.",
    variables=(PROJECT, CONTAINERS_VARIABLE),
    rows=(
        Row(
            title="Now",
            panels=(
                panel_templates.make_count_panel(
                    title="Engines without answer",
                    text="Engines that do not answer Quarterdeck. Red: at least one. The state of its containers is "
                    "unknown.",
                    query=f"{UP} == 0",
                    links=(links.runbook("engine-down"),),
                ),
                panel_templates.make_count_panel(
                    title="Running",
                    text="Running containers of the selected hosts, engines and projects.",
                    query=once(RUNNING, *ONE),
                    base=BLUE,
                ),
                panel_templates.make_count_panel(
                    title="Unhealthy",
                    text="Containers whose health check fails. Yellow: at least one.",
                    query=once(UNHEALTHY, *ONE),
                    thresholds=NONE_IS_BEST,
                    links=(links.runbook("container-unhealthy"),),
                ),
                panel_templates.make_count_panel(
                    title="Failed recently",
                    text="Containers that crashed, ran out of memory, were killed or were lost in the last 15 minutes. "
                    "Yellow: at least one. Red: at least five.",
                    query=once(ENDED_BADLY, *ONE),
                    thresholds=((1, YELLOW), (5, RED)),
                    links=(links.runbook("container-restarting"),),
                ),
                Stat(
                    title="Open incidents",
                    text="Open incidents of all hosts. Yellow: at least one. Red: at least ten.",
                    queries=[Query(expr=or_zero(f"sum({OPEN})"))],
                    thresholds=((1, YELLOW), (10, RED)),
                    links=(links.to_dashboard("Incidents", "incidents"), links.slack()),
                ),
                panel_templates.fullest_disk(),
            ),
        ),
        Row(
            title="Problems",
            panels=(
                Table(
                    title="Containers with a problem",
                    text="Containers that are unhealthy, failed in the last 15 minutes, restart repeatedly, use "
                    "more than 90 % of their memory limit, or are slowed by their CPU limit for more than a quarter "
                    "of the time. Click a name to open the container.",
                    queries=[Query(expr=WRONG, name="value")],
                    columns=(
                        Column(name="name", title="Container", links=(links.ROW_TO_CONTAINER,)),
                        Column(name="problem", title="Problem"),
                        Column(name="engine", title="Engine"),
                        Column(name="host", title="Host"),
                    ),
                ),
            ),
        ),
        Row(
            title="Over time",
            panels=(
                Graph(
                    title="Containers by state",
                    text="All containers of the selected engines, by state.",
                    queries=[
                        Query(expr=f"sum by (state) ({BY_STATE})", legend="{{state}}"),
                    ],
                    stacked=True,
                ),
                Graph(
                    title="Ends of containers by cause",
                    text="Ends of containers per minute, by cause: crashed, killed, out of memory, finished, "
                    "stopped and others.",
                    queries=[
                        Query(expr=ENDS, legend="{{cause}}"),
                    ],
                    unit="cpm",
                    as_bars=True,
                    stacked=True,
                ),
            ),
        ),
        Row(
            title="By engine and project",
            panels=(
                Table(
                    title="Engines",
                    text="Each engine: whether it answers (red: no), running and all containers, and the used part "
                    "of its "
                    "file system (yellow: from 80 %, red: from 90 %).",
                    queries=[
                        Query(expr=UP, name="up"),
                        Query(
                            expr=once(
                                f'quarterdeck_containers{{{SELECTED}, state="running"}}', *panel_templates.ENGINE
                            ),
                            name="running",
                        ),
                        Query(expr=f"sum by (host, engine) ({BY_STATE})", name="all"),
                        Query(expr=once(panel_templates.DATA_ROOT, *panel_templates.ENGINE), name="disk"),
                    ],
                    columns=(
                        Column(name="engine", title="Engine"),
                        Column(name="host", title="Host"),
                        Column(name="up", title="Answers", names=value_mappings.YES_NO, thresholds=((0, RED),)),
                        Column(name="running", title="Running"),
                        Column(name="all", title="Containers"),
                        Column(name="disk", title="Disk", unit="percentunit", thresholds=SHARE),
                    ),
                    links=(links.to_dashboard("Engines", "engines", "host", "engine"),),
                ),
                Bars(
                    title="Running by project",
                    text="Running containers of each Compose project, stack or namespace.",
                    queries=[
                        Query(expr=by_project(RUNNING), legend="{{project}}"),
                    ],
                    base=BLUE,
                ),
                Bars(
                    title="Not running by project",
                    text="Containers of each project that do not run: exited, created or dead. Grey: they may be "
                    "finished jobs.",
                    queries=[
                        Query(expr=by_project(NOT_RUNNING), legend="{{project}}"),
                    ],
                    base=GREY,
                ),
            ),
        ),
        Row(
            title="Highest usage",
            panels=(
                Bars(
                    title="CPU",
                    text="The ten containers with the highest CPU usage, in cores, over five minutes.",
                    queries=[Query(expr=f"topk(10, {once(in_project(CPU), *ONE)})", legend=BY_NAME)],
                    decimals=2,
                    base=BLUE,
                    data_links=(links.TO_CONTAINER,),
                    width=8,
                ),
                Bars(
                    title="Memory",
                    text="The ten containers with the largest working set.",
                    queries=[
                        Query(expr=f"topk(10, {once(WORKING_SET, *ONE)})", legend=BY_NAME),
                    ],
                    unit="bytes",
                    base=BLUE,
                    data_links=(links.TO_CONTAINER,),
                    width=8,
                ),
                Bars(
                    title="Memory in percent of the limit",
                    text="The ten containers that are nearest to their memory limit. Yellow: from 80 %. Red: from "
                    "90 %. At 100 %, the kernel kills a process. Containers without a limit are not shown.",
                    queries=[Query(expr=f"topk(10, {once(in_project(MEMORY_SHARE), *ONE)})", legend=BY_NAME)],
                    unit="percentunit",
                    thresholds=SHARE,
                    maximum=1,
                    data_links=(links.TO_CONTAINER,),
                    links=(links.runbook("container-memory-near-limit"),),
                    width=8,
                ),
                Graph(
                    title="Network by engine",
                    text="Bytes per second that the containers of each engine receive (in) and send (out), without "
                    "loopback.",
                    queries=[
                        Query(expr=transferred("network_receive"), legend="in · {{engine}} on {{host}}"),
                        Query(expr=transferred("network_transmit"), legend="out · {{engine}} on {{host}}"),
                    ],
                    unit="Bps",
                ),
                Graph(
                    title="Block devices by engine",
                    text="Bytes per second that the containers of each engine read from and write to block devices.",
                    queries=[
                        Query(expr=transferred("fs_reads"), legend="read · {{engine}} on {{host}}"),
                        Query(expr=transferred("fs_writes"), legend="written · {{engine}} on {{host}}"),
                    ],
                    unit="Bps",
                ),
            ),
        ),
    ),
)
