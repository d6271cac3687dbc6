"""Defines the state of one Swarm for monitoring: each service with its replicas and update, and each node."""

from __future__ import annotations

import msgspec

UPDATE_STATES = ("updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed")
NODE_STATES = ("ready", "down", "disconnected", "unknown")
AVAILABILITIES = ("active", "pause", "drain")
REACHABILITIES = ("reachable", "unreachable", "unknown")


class ServiceState(msgspec.Struct, frozen=True, gc=False):
    """One service. `desired` and `running`: numbers of tasks. `update`: the state of its last update in the engine's
    words; empty if it was never updated. `stack` is empty outside a stack."""

    id: str
    name: str
    mode: str
    stack: str
    desired: int
    running: int
    update: str = ""


class NodeState(msgspec.Struct, frozen=True, gc=False):
    """One node, in the engine's words. `reachability` is empty for a worker; `leader`: whether it leads the
    managers."""

    id: str
    name: str
    role: str
    state: str
    availability: str
    reachability: str = ""
    leader: bool = False


class SwarmState(msgspec.Struct, frozen=True, gc=False):
    """All services and nodes. `read_at`: when a manager last reported them, in unix seconds."""

    services: tuple[ServiceState, ...]
    nodes: tuple[NodeState, ...]
    read_at: float
