"""Builds the state of a Swarm for monitoring from what its watcher read last."""

from __future__ import annotations

from core.model.refs import EngineRef
from core.model.swarm_status import NodeState, ServiceState, SwarmState
from runtimes.swarm import decode, json_models
from runtimes.swarm.snapshot_diff import Snapshot


def build_state(engine: EngineRef, snapshot: Snapshot, read_at: float) -> SwarmState:
    """Returns all services and nodes, sorted by name. `read_at`: when the snapshot was read, in unix seconds."""
    tasks: dict[str, list[json_models.Task]] = {}
    for task in snapshot.tasks:
        tasks.setdefault(task.service, []).append(task)
    services = [_service(engine, raw, tasks.get(raw.id, [])) for raw in snapshot.services]
    return SwarmState(
        services=tuple(sorted(services, key=lambda row: (row.name, row.id))),
        nodes=tuple(sorted(map(_node, snapshot.nodes), key=lambda row: (row.name, row.id))),
        read_at=read_at,
    )


def _service(engine: EngineRef, raw: json_models.Service, tasks: list[json_models.Task]) -> ServiceState:
    row = decode.service(engine, raw, tasks)
    return ServiceState(
        id=raw.id,
        name=row.ref.name,
        mode=row.mode,
        stack=row.project or "",
        desired=row.desired or 0,
        running=row.running,
        update=raw.update.state if raw.update is not None else "",
    )


def _node(raw: json_models.Node) -> NodeState:
    manager = raw.manager
    return NodeState(
        id=raw.id,
        name=raw.name,
        role=raw.spec.role,
        state=raw.status.state,
        availability=raw.spec.availability,
        reachability=(manager.reachability or "unknown") if manager is not None else "",
        leader=manager is not None and manager.leader,
    )
