"""Defines the dashboard of each Swarm: services with too few tasks, rollouts, nodes and their managers."""

from charts.dashboards import links, panel_templates
from charts.dashboards.dashboard import Dashboard, Row
from charts.dashboards.panels import (
    BLUE,
    GREEN,
    NONE_IS_BEST,
    NONE_IS_GOOD,
    RED,
    YELLOW,
    Column,
    Graph,
    Query,
    Stat,
    Table,
    Timeline,
)
from charts.dashboards.queries import SELECTED, coded, once
from charts.dashboards.variables import Variable, values
from core.model.swarm_status import AVAILABILITIES, NODE_STATES, REACHABILITIES, UPDATE_STATES

SERVICES = f'{SELECTED}, service=~"$service"'
SERVICE = ("host", "service")
NODE = ("host", "node")
RUNNING = once(f"quarterdeck_swarm_service_replicas_running{{{SERVICES}}}", *SERVICE)
DESIRED = once(f"quarterdeck_swarm_service_replicas_desired{{{SERVICES}}}", *SERVICE)
STOPPED = once(f'quarterdeck_swarm_service_update_state{{{SERVICES}, state=~"paused|rollback_paused"}}', *SERVICE)
READY = once(f'quarterdeck_swarm_node_state{{{SELECTED}, state="ready"}}', *NODE)
REACHED = once(f'quarterdeck_swarm_node_manager_reachability{{{SELECTED}, reachability="reachable"}}', *NODE)
CAPPED = once(f"quarterdeck_swarm_series_capped{{{SELECTED}}}", "host")
UPDATE = coded("quarterdeck_swarm_service_update_state", SERVICES, "state", UPDATE_STATES, *SERVICE)
NODE_STATE = coded("quarterdeck_swarm_node_state", SELECTED, "state", NODE_STATES, *NODE)
AVAILABILITY = coded("quarterdeck_swarm_node_availability", SELECTED, "availability", AVAILABILITIES, *NODE)
REACHABILITY = coded("quarterdeck_swarm_node_manager_reachability", SELECTED, "reachability", REACHABILITIES, *NODE)
LEADER = once(f"quarterdeck_swarm_node_leader{{{SELECTED}}}", *NODE)
GOOD = {"ready", "active", "reachable", "completed"}
BAD = {"down", "unreachable", "paused", "rollback_paused"}


def map_states_to_colors(states: tuple[str, ...]) -> dict[int, tuple[str, str]]:
    """The states by number, with colours: green is good, red needs somebody, yellow is between, blue goes on."""
    return {
        number: (state, GREEN if state in GOOD else RED if state in BAD else BLUE if state == "updating" else YELLOW)
        for number, state in enumerate(states, 1)
    }


dashboard = Dashboard(
    name="swarm",
    title="Swarm",
    description="Services with too few tasks, stopped rollouts, nodes and their managers.",
    variables=(
        Variable(
            name="service",
            label="Service",
            text="Services of the Swarm",
            query=values("quarterdeck_swarm_service_info", "service", SELECTED),
        ),
    ),
    rows=(
        Row(
            title="Now",
            panels=(
                panel_templates.make_count_panel(
                    title="Services",
                    text="Services of the selected Swarms.",
                    query=DESIRED,
                    base=BLUE,
                ),
                panel_templates.make_count_panel(
                    title="Too few tasks",
                    text="Services that run fewer tasks than desired. Red: at least one.",
                    query=f"{RUNNING} < {DESIRED}",
                    links=(links.runbook("swarm-service-short"),),
                ),
                panel_templates.make_count_panel(
                    title="Stopped rollouts",
                    text="Services whose last update or rollback stopped. Red: at least one.",
                    query=f"{STOPPED} == 1",
                    links=(links.runbook("swarm-update-stopped"),),
                ),
                panel_templates.make_count_panel(
                    title="Nodes not ready",
                    text="Nodes that are not ready. Red: at least one.",
                    query=f"{READY} == 0",
                    links=(links.runbook("swarm-node-down"),),
                ),
                Stat(
                    title="Managers",
                    text="Number of reachable managers. Red: no manager is reachable. Yellow: one or two managers are "
                    "reachable, and the Swarm may stop if one more fails.",
                    queries=[Query(expr=f"sum({REACHED})")],
                    base=RED,
                    thresholds=((1, YELLOW), (3, GREEN)),
                ),
                Stat(
                    title="Without series",
                    text="Services and nodes that are not on this dashboard, because they exceed the limit "
                    "metrics.max_containers. Yellow: at least one.",
                    queries=[Query(expr=f"sum({CAPPED})")],
                    thresholds=NONE_IS_BEST,
                ),
            ),
        ),
        Row(
            title="Services",
            panels=(
                Table(
                    title="Services",
                    text="Each service: running and desired tasks, and the state of its last update (red: stopped).",
                    queries=[
                        Query(expr=RUNNING, name="running"),
                        Query(expr=DESIRED, name="desired"),
                        Query(expr=f"{DESIRED} - {RUNNING}", name="short"),
                        Query(expr=UPDATE, name="update"),
                    ],
                    columns=(
                        Column(name="service", title="Service"),
                        Column(name="running", title="Running"),
                        Column(name="desired", title="Wanted"),
                        Column(name="short", title="Missing", thresholds=NONE_IS_GOOD),
                        Column(name="update", title="Update", names=map_states_to_colors(UPDATE_STATES)),
                        Column(name="host", title="Swarm"),
                    ),
                    sort_by="Missing",
                ),
                Graph(
                    title="Missing tasks",
                    text="Desired tasks of each service that do not run. Red: at least one. During a rollout this "
                    "is normal.",
                    queries=[Query(expr=f"{DESIRED} - {RUNNING}", legend="{{service}} on {{host}}")],
                    thresholds=NONE_IS_GOOD,
                    links=(links.runbook("swarm-service-short"),),
                ),
                Graph(
                    title="Running tasks",
                    text="Running tasks of each service.",
                    queries=[Query(expr=RUNNING, legend="{{service}} on {{host}}")],
                    stacked=True,
                ),
                Timeline(
                    title="Updates",
                    text="The state of the last update of each service. Blue: in progress. Green: completed. Red: "
                    "stopped. Yellow: rolled back.",
                    queries=[Query(expr=UPDATE, legend="{{service}} on {{host}}")],
                    names=map_states_to_colors(UPDATE_STATES),
                    width=24,
                ),
            ),
        ),
        Row(
            title="Nodes",
            panels=(
                Table(
                    title="Nodes",
                    text="Each node: its state and its availability for tasks (yellow: paused or drained), whether "
                    "the other "
                    "managers reach it, and whether it leads them. Red: it does not work.",
                    queries=[
                        Query(expr=NODE_STATE, name="state"),
                        Query(expr=AVAILABILITY, name="availability"),
                        Query(expr=REACHABILITY, name="reachability"),
                        Query(expr=LEADER, name="leader"),
                    ],
                    columns=(
                        Column(name="node", title="Node"),
                        Column(name="state", title="State", names=map_states_to_colors(NODE_STATES)),
                        Column(
                            name="availability",
                            title="Availability",
                            names={
                                number: (each, GREEN if each == "active" else YELLOW)
                                for number, each in enumerate(AVAILABILITIES, 1)
                            },
                        ),
                        Column(name="reachability", title="Manager", names=map_states_to_colors(REACHABILITIES)),
                        Column(name="leader", title="Leads", names={0: ("", BLUE), 1: ("leader", BLUE)}),
                        Column(name="host", title="Swarm"),
                    ),
                ),
                Timeline(
                    title="States of nodes",
                    text="The state of each node over time. Green: ready. Red: down. Yellow: unknown or disconnected.",
                    queries=[Query(expr=NODE_STATE, legend="{{node}}")],
                    names=map_states_to_colors(NODE_STATES),
                    links=(links.runbook("swarm-node-down"),),
                ),
                Timeline(
                    title="Managers",
                    text="Whether the other managers can reach each manager. Green: yes. Red: no. Yellow: unknown.",
                    queries=[Query(expr=REACHABILITY, legend="{{node}}")],
                    names=map_states_to_colors(REACHABILITIES),
                ),
            ),
        ),
    ),
)
