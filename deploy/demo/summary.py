"""Prints the addresses and queries to look at while the demo runs."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.demo.engine import DemoEngine
from deploy.demo.programs import DASHBOARDS, ROOT, DemoPrograms, console_command
from deploy.demo.workloads import PROJECT, WORKLOADS

# What each shows, and the query. Each has an answer within a minute or two.
QUERIES = (
    ("the state of each container", f'quarterdeck_container_state{{name=~"{PROJECT}-.*"}} == 1'),
    ("the causes of the last ends", f'max_over_time(quarterdeck_container_last_end_cause{{name=~"{PROJECT}-.*"}}[5m])'),
    (
        "the memory of the leaking container",
        f'quarterdeck_container_memory_working_set_bytes{{name="{PROJECT}-cache-1"}}',
    ),
    (
        "the health of the unstable container",
        f'quarterdeck_container_health_state{{name="{PROJECT}-worker-1", health="unhealthy"}}',
    ),
    (
        "restarts of the last five minutes",
        f'increase(quarterdeck_container_restarts_total{{name=~"{PROJECT}-.*"}}[5m])',
    ),
    ("firing alerts of Quarterdeck", "quarterdeck_alerts_firing"),
    ("firing alerts of Prometheus", 'ALERTS{alertstate="firing"}'),
)
NO_LIMITS = (
    "Without root and with cgroup v1, memory limits have no effect:"
    " the leaking container ends by itself, and usage is not measured."
)
COMMANDS = (
    "ps -a",
    "incidents",
    f"card {PROJECT}-cache-1",
    f"logs {PROJECT}-api-1 -n 5",
    "events -f",
    "stats",
    f"restart {PROJECT}/web",
    "audit",
)


def list_queries(*, usage: bool) -> Sequence[tuple[str, str]]:
    """What each shows, and the query; without those of usage where it is not measured."""
    return [(shows, query) for shows, query in QUERIES if usage or "_memory_" not in query]


def summary(engine: DemoEngine, servers: DemoPrograms, *, usage: bool) -> str:
    """The whole text that a demo prints once it runs. `usage`: whether the engine measures that of its containers."""
    dashboards = sorted(DASHBOARDS.glob("*.json"))
    asked = list_queries(usage=usage)
    lines = [
        f"Quarterdeck watches {engine.kind} at {engine.url}. These containers belong to the demo:",
        *(f"  {workload.name:25} {workload.does}" for workload in WORKLOADS),
        *([] if usage else [NO_LIMITS]),
        "",
        "Addresses",
        f"  metrics       {servers.url('quarterdeck')}/metrics",
        f"  Prometheus    {servers.url('prometheus')}",
        f"  Alertmanager  {servers.url('alertmanager')}",
    ]
    if dashboards:
        lines.append(f"  dashboards    {DASHBOARDS.relative_to(ROOT)}/*.json (import them into your Grafana)")
    width = max(len(query) for _, query in asked)
    lines += ["", "Queries for Prometheus", *(f"  {query:{width}}  {shows}" for shows, query in asked)]
    lines += [
        "",
        "To open the console, run this in another terminal",
        f"  cd {servers.folder} && QUARTERDECK_SLACK=off {console_command()} console",
        "and try these commands",
        *(f"  {command}" for command in COMMANDS if usage or command != "stats"),
        "",
        "Ctrl-C ends the demo and removes all its containers and files.",
    ]
    return "\n".join(lines)
