"""Renders metrics of the services and nodes of each Swarm, from the state that its watcher read last.

A service and a node are labelled with name and id, because a node that joined again has its old name. Their series are
removed with them, and all series of a Swarm if no manager has answered for some minutes. Where a state has one series
for each possible value, the present value is 1 and the others are 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.exposition import Collect, Options, Scraper
from collectors.shown_containers import STALE_AFTER_SECONDS, Scrape, engine_text, escape
from core.lazy_dataclass import dataclass
from core.metric_families import ENGINE_LABELS, Family, gauge, info
from core.model.swarm_status import (
    AVAILABILITIES,
    NODE_STATES,
    REACHABILITIES,
    UPDATE_STATES,
    NodeState,
    ServiceState,
    SwarmState,
)

SHORT_ID = 12
SERVICE_LABELS = (*ENGINE_LABELS, "service", "id")
NODE_LABELS = (*ENGINE_LABELS, "node", "id")

DESIRED = gauge("swarm_service_replicas_desired", "Desired tasks of the service", *SERVICE_LABELS)
RUNNING = gauge("swarm_service_replicas_running", "Tasks of the service that run", *SERVICE_LABELS)
UPDATE = gauge(
    "swarm_service_update_state",
    "State of the service's last update: 1 for the current state, 0 for the others; no series before the first update",
    *SERVICE_LABELS,
    "state",
)
SERVICE = info("swarm_service_info", "Mode and stack of the service; always 1", *SERVICE_LABELS, "mode", "stack")
STATE = gauge("swarm_node_state", "State of the node: 1 for the current state, 0 for the others", *NODE_LABELS, "state")
AVAILABILITY = gauge(
    "swarm_node_availability",
    "Availability of the node for tasks: 1 for the current value, 0 for the others",
    *NODE_LABELS,
    "availability",
)
REACHABILITY = gauge(
    "swarm_node_manager_reachability",
    "Reachability of a manager: 1 for the current value, 0 for the others; no series for a worker",
    *NODE_LABELS,
    "reachability",
)
LEADER = gauge("swarm_node_leader", "1 if the node leads the managers, else 0", *NODE_LABELS)
NODE = info("swarm_node_info", "Role of the node; always 1", *NODE_LABELS, "role")
CAPPED = gauge(
    "swarm_series_capped",
    "Services and nodes without series, because the Swarm has more than metrics.max_containers",
    *ENGINE_LABELS,
)
# In the order in which `_service` and `_node` write them.
SERVICE_FAMILIES = (DESIRED, RUNNING, UPDATE, SERVICE)
NODE_FAMILIES = (STATE, AVAILABILITY, REACHABILITY, LEADER, NODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """The text of one Swarm: for each service and each node, one entry for each family."""

    state: SwarmState
    services: Sequence[tuple[str, ...]]
    nodes: Sequence[tuple[str, ...]]


class _Swarms:
    """`limit`: the maximum of services, and of nodes, of one Swarm. The text is cached until the Swarm changes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._cache: dict[str, _Rendered] = {}

    def collect(self, scrape: Scrape) -> Sequence[bytes]:
        shown, capped = {}, []
        for mirror in scrape.mirrors:
            state = mirror.swarm_state
            if state is None or scrape.now - state.read_at > STALE_AFTER_SECONDS:
                continue
            labels = engine_text(mirror.ref)
            shown[labels] = self._rendered(labels, state)
        for labels, swarm in shown.items():
            left_out = sum(max(0, len(rows) - self._limit) for rows in (swarm.state.services, swarm.state.nodes))
            capped.append(f"{CAPPED.name}{{{labels}}} {left_out}\n")
        self._cache = shown
        return [
            *_samples(SERVICE_FAMILIES, [block for swarm in shown.values() for block in swarm.services]),
            *_samples(NODE_FAMILIES, [block for swarm in shown.values() for block in swarm.nodes]),
            "".join(capped).encode(errors="replace"),
        ]

    def _rendered(self, labels: str, state: SwarmState) -> _Rendered:
        known = self._cache.get(labels)
        if known is not None and known.state.services is state.services and known.state.nodes is state.nodes:
            return known
        # By what is on the page: an engine must not be able to make one series twice.
        services = {(escape(row.name), row.id[:SHORT_ID]): row for row in state.services[: self._limit]}
        nodes = {(escape(row.name), row.id[:SHORT_ID]): row for row in state.nodes[: self._limit]}
        return _Rendered(
            state=state,
            services=[_service(labels, row) for row in services.values()],
            nodes=[_node(labels, row) for row in nodes.values()],
        )


def _samples(families: Sequence[Family], blocks: Sequence[tuple[str, ...]]) -> list[bytes]:
    return ["".join([block[number] for block in blocks]).encode(errors="replace") for number, _ in enumerate(families)]


def _service(engine: str, row: ServiceState) -> tuple[str, ...]:
    labels = f'{engine},service="{escape(row.name)}",id="{escape(row.id[:SHORT_ID])}"'
    return (
        f"{DESIRED.name}{{{labels}}} {row.desired}\n",
        f"{RUNNING.name}{{{labels}}} {row.running}\n",
        _states(UPDATE, labels, UPDATE_STATES, row.update) if row.update else "",
        f'{SERVICE.name}{{{labels},mode="{escape(row.mode)}",stack="{escape(row.stack)}"}} 1\n',
    )


def _node(engine: str, row: NodeState) -> tuple[str, ...]:
    labels = f'{engine},node="{escape(row.name)}",id="{escape(row.id[:SHORT_ID])}"'
    return (
        _states(STATE, labels, NODE_STATES, row.state),
        _states(AVAILABILITY, labels, AVAILABILITIES, row.availability),
        _states(REACHABILITY, labels, REACHABILITIES, row.reachability) if row.reachability else "",
        f"{LEADER.name}{{{labels}}} {int(row.leader)}\n",
        f'{NODE.name}{{{labels},role="{escape(row.role)}"}} 1\n',
    )


def _states(family: Family, labels: str, values: Sequence[str], present: str) -> str:
    label = family.labels[-1]
    return "".join([f'{family.name}{{{labels},{label}="{value}"}} {int(value == present)}\n' for value in values])


def _make(options: Options) -> Collect:
    return _Swarms(options.max_containers).collect


scraper = Scraper(name="swarm_state", families=(*SERVICE_FAMILIES, *NODE_FAMILIES, CAPPED), make=_make)
"""Renders the services and nodes of all Swarms."""
