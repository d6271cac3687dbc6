"""Checks whether an incident is a consequence of another open incident. If so, only the other incident is posted.

While an engine is down, incidents about its resources wait. While the update of a Swarm service is stopped, incidents
about its tasks and replicas wait. While a node of a Swarm is down, incidents about its tasks and their containers wait.
The cause is read by its key, so no search is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bot.notify.incident_writer import decode_incident
from collectors.rules import engine_down, node_down, update_stopped
from core.model.containers import SWARM_NODE_LABEL
from core.model.incidents import Incident, IncidentState, key_of
from core.model.refs import Kind, Ref
from core.store.incidents import IncidentStore
from runtimes.inventory.mirror import Mirror

_NEVER = (Kind.ENGINE, Kind.BOT, Kind.NODE)
NodesOf = Callable[[Incident], Sequence[Ref]]


def find_nodes_of_incident(incident: Incident, mirrors: Iterable[Mirror]) -> Sequence[Ref]:
    """Returns the node of a Swarm on which the subject of an incident ran, once for each watched manager that knows it;
    nothing if it is no task and no container of one."""
    node_id = incident.main.labels.get(SWARM_NODE_LABEL)
    if not node_id:
        return ()
    return [
        Ref(engine=mirror.ref, kind=Kind.NODE, id=node.id, name=node.name)
        for mirror in mirrors
        if (state := mirror.swarm_state) is not None
        for node in state.nodes
        if node.id == node_id
    ]


def no_nodes(incident: Incident) -> Sequence[Ref]:
    """Is the NodesOf of a process that watches no Swarm."""
    return ()


def cause_keys(incident: Incident, nodes: Sequence[Ref] = ()) -> Sequence[str]:
    """Returns the keys of the incidents that would explain this one. `nodes`: of `find_nodes_of_incident`."""
    main = incident.main
    subject = main.subject
    if subject.kind in _NEVER or main.topic == update_stopped.rule.topic:
        return ()
    found = [key_of(engine_down.rule.topic, subject.engine, Kind.ENGINE, str(subject.engine))]
    if subject.kind in (Kind.TASK, Kind.SERVICE):
        found.append(key_of(update_stopped.rule.topic, subject.engine, Kind.SERVICE, main.owner))
    return [*found, *(key_of(node_down.rule.topic, node.engine, Kind.NODE, node.name) for node in nodes)]


async def open_causes(store: IncidentStore, incident: Incident, nodes: Sequence[Ref] = ()) -> Sequence[Incident]:
    """Returns the open incidents that explain this one. Raises StoreError."""
    found = map(decode_incident, (await store.incidents_of(cause_keys(incident, nodes))).values())
    return [cause for cause in found if cause is not None and cause.state is not IncidentState.RESOLVED]


async def inhibited(store: IncidentStore, incidents: Iterable[Incident], nodes: NodesOf = no_nodes) -> frozenset[str]:
    """Returns the keys of those incidents that wait for another one. An incident with a message does not wait. Raises
    StoreError."""
    wanted: Mapping[str, Sequence[str]] = {
        incident.key: cause_keys(incident, nodes(incident)) for incident in incidents if not incident.posts
    }
    keys = sorted({key for found in wanted.values() for key in found})
    if not keys:
        return frozenset()
    causes = {
        key
        for key, raw in (await store.incidents_of(keys)).items()
        if (cause := decode_incident(raw)) is not None and cause.state is not IncidentState.RESOLVED
    }
    return frozenset(key for key, found in wanted.items() if causes.intersection(found))
