"""Defines the dashboard of one container: its states, the causes of its ends, its usage, its restarts and its
incidents.
"""

from charts.dashboards import links, panel_templates, value_mappings
from charts.dashboards.annotations import Annotation
from charts.dashboards.container_usage import USAGE
from charts.dashboards.dashboard import Dashboard, Row
from charts.dashboards.panels import (
    BLUE,
    RED,
    YELLOW,
    Column,
    Graph,
    Query,
    Stat,
    Table,
    Timeline,
)
from charts.dashboards.queries import CONTAINERS, SELECTED, coded, container_info_query, once
from charts.dashboards.variables import CONTAINER, PROJECT
from core.model.containers import HEALTH_STATES, STATES

ENGINE = ("host", "engine")
ONE = ("host", "engine", "name")
ON = "{{engine}} on {{host}}"
LAST_END = f"quarterdeck_container_last_end_timestamp_seconds{{{CONTAINERS}}}"
CAUSE = once(f"quarterdeck_container_last_end_cause{{{CONTAINERS}}}", *ONE, "cause")
START = f"quarterdeck_container_start_time_seconds{{{CONTAINERS}}}"
IS_RUNNING = f'quarterdeck_container_state{{{CONTAINERS}, state="running"}} == 1'
INCIDENTS = once(
    f'quarterdeck_incident_begin_timestamp_seconds{{{SELECTED}, kind="container", name=~"$container"}}',
    *ONE, "rule", "severity", "team", "state",
)  # fmt: skip

dashboard = Dashboard(
    name="container",
    title="Container",
    description="One container: its states, the causes of its ends, its usage, its restarts and its incidents.",
    variables=(PROJECT, CONTAINER),
    annotations=(
        Annotation(
            name="Started",
            query=START,
            title="{{name}} started",
            text="{{name}} on {{engine}}, {{host}}",
            color="green",
        ),
        Annotation(
            name="Ended",
            query=f"{once(LAST_END, *ONE)} * on (host, engine, name) group_right () {CAUSE}",
            title="{{name}} ended: {{cause}}",
            text="{{name}} on {{engine}}, {{host}}",
            color="red",
        ),
        Annotation(
            name="Incidents",
            query=INCIDENTS,
            title="Incident: {{rule}}",
            text="{{severity}}, {{state}}",
            color="orange",
        ),
    ),
    rows=(
        Row(
            title="Now",
            panels=(
                Stat(
                    title="State",
                    text="The current state. Several values: several engines have a container with this name.",
                    queries=[
                        Query(
                            expr=coded("quarterdeck_container_state", CONTAINERS, "state", STATES, *ENGINE), legend=ON
                        )
                    ],
                    names=value_mappings.CONTAINER,
                ),
                Stat(
                    title="Health",
                    text="The result of the health check. No value: the container has no health check.",
                    queries=[
                        Query(
                            expr=coded(
                                "quarterdeck_container_health_state", CONTAINERS, "health", HEALTH_STATES, *ENGINE
                            ),
                            legend=ON,
                        )
                    ],
                    names=value_mappings.HEALTH,
                    no_value="no check",
                ),
                Stat(
                    title="Uptime",
                    text="Time since the last start of a running container. Yellow: less than five minutes.",
                    queries=[
                        Query(
                            expr=f"max by (host, engine) (time() - {START} and on (host, engine, name) ({IS_RUNNING}))",
                            legend=ON,
                        )
                    ],
                    unit="s",
                    base=YELLOW,
                    thresholds=((300, "green"),),
                    no_value="not running",
                ),
                Stat(
                    title="Restarts",
                    text="Restarts by the engine's restart policy in the shown time. Yellow: at least one. Red: at "
                    "least five.",
                    queries=[
                        Query(
                            expr=f"max by (host, engine) "
                            f"(increase(quarterdeck_container_restarts_total{{{CONTAINERS}}}[$__range]))",
                            legend=ON,
                        )
                    ],
                    decimals=0,
                    thresholds=((1, YELLOW), (5, RED)),
                    links=(links.runbook("container-restarting"),),
                ),
                Stat(
                    title="Last end",
                    text="The cause of the container's last end: requested, replaced, finished, crashed, "
                    "out_of_memory, killed, lost.",
                    queries=[Query(expr=CAUSE, legend="{{cause}}")],
                    shows_name=True,
                    base=BLUE,
                    no_value="none known",
                ),
                panel_templates.make_count_panel(
                    title="Open incidents",
                    text="Open incidents about this container. Red: at least one.",
                    query=INCIDENTS,
                    links=(links.to_dashboard("Incidents", "incidents", "host", "engine"), links.slack()),
                ),
            ),
        ),
        Row(
            title="States",
            panels=(
                Timeline(
                    title="State",
                    text="The state over time. Green: running. Yellow: exited. Red: dead. Orange: restarting. Blue: "
                    "paused. "
                    "A gap: the container did not exist, or its engine did not answer.",
                    queries=[
                        Query(
                            expr=coded("quarterdeck_container_state", CONTAINERS, "state", STATES, *ENGINE), legend=ON
                        )
                    ],
                    names=value_mappings.CONTAINER,
                    height=5,
                ),
                Timeline(
                    title="Health",
                    text="The result of the health check over time. Green: healthy. Red: unhealthy. Blue: starting.",
                    queries=[
                        Query(
                            expr=coded(
                                "quarterdeck_container_health_state", CONTAINERS, "health", HEALTH_STATES, *ENGINE
                            ),
                            legend=ON,
                        )
                    ],
                    names=value_mappings.HEALTH,
                    height=5,
                ),
                Graph(
                    title="Restarts by cause",
                    text="Starts of the container after an end, per minute, by the cause of that end.",
                    queries=[
                        Query(
                            expr=f"sum by (cause) "
                            f"(rate(quarterdeck_container_restarts_by_cause_total{{{CONTAINERS}}}[$__rate_interval])) * 60",
                            legend="{{cause}}",
                        )
                    ],
                    unit="cpm",
                    as_bars=True,
                    stacked=True,
                ),
                Table(
                    title="Last end",
                    text="Time, cause and exit code of the container's last end. 137: SIGKILL. 143: SIGTERM.",
                    queries=[
                        Query(
                            expr=f"{once(LAST_END, *ONE)} * 1000 * on (host, engine, name) group_right () {CAUSE}",
                            name="at",
                        ),
                        Query(
                            expr=once(f"quarterdeck_container_last_end_exit_code{{{CONTAINERS}}}", *ONE), name="code"
                        ),
                    ],
                    columns=(
                        Column(name="at", title="Ended", unit="dateTimeFromNow"),
                        Column(name="cause", title="Cause"),
                        Column(name="code", title="Exit code"),
                        Column(name="engine", title="Engine"),
                        Column(name="host", title="Host"),
                    ),
                    width=12,
                ),
            ),
        ),
        USAGE,
        Row(
            title="Details",
            panels=(
                Table(
                    title="Image and project",
                    text="The image, the project and the service of each container with this name.",
                    queries=[Query(expr=container_info_query("image", "project", "service", "id"), name="value")],
                    columns=(
                        Column(name="image", title="Image"),
                        Column(name="project", title="Project"),
                        Column(name="service", title="Service"),
                        Column(name="engine", title="Engine"),
                        Column(name="host", title="Host"),
                        Column(name="id", title="Id"),
                    ),
                    height=6,
                ),
                Table(
                    title="Open incidents",
                    text="Open incidents about this container, the oldest first. Grey: low, yellow: medium, red: "
                    "high severity.",
                    queries=[Query(expr=f"sort_desc(time() - {INCIDENTS})", name="age")],
                    columns=(
                        Column(name="rule", title="Rule", links=(links.document("About this rule", "alerts.md"),)),
                        Column(name="age", title="Open for", unit="s"),
                        Column(name="severity", title="Severity"),
                        Column(name="state", title="State"),
                        Column(name="team", title="Team"),
                        Column(name="engine", title="Engine"),
                    ),
                    height=6,
                ),
            ),
        ),
    ),
)
