"""Models the JSON that a Swarm's manager sends: the fields that Quarterdeck reads. Other fields are ignored.

A missing field gets a default, because some versions omit it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.lazy_dataclass import dataclass
from core.model.refs import Kind
from runtimes.formats import json_field_types

# States that a task never leaves.
FINAL = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})

# The kinds of resources that events of Docker and Swarm are about, by `Type`.
KINDS: dict[str, Kind] = {
    "container": Kind.CONTAINER,
    "image": Kind.IMAGE,
    "network": Kind.NETWORK,
    "volume": Kind.VOLUME,
    "service": Kind.SERVICE,
    "node": Kind.NODE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmManagerStatus:
    """Says whether a daemon manages a Swarm, and which one. `cluster`: the Swarm's id. It is empty if the daemon
    manages no Swarm. It is also empty if the Swarm has no leader, because its managers cannot read it then."""

    manager: bool
    cluster: str = ""


class _Manager(msgspec.Struct):
    node: str = msgspec.field(name="NodeID", default="")
    address: str = msgspec.field(name="Addr", default="")


class _Cluster(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")


class LocalSwarmInfo(msgspec.Struct):
    """Models the part `Swarm` of a daemon's `/info`: its membership in a Swarm. Only a manager that has a leader sends
    `cluster`."""

    state: str = msgspec.field(name="LocalNodeState", default="inactive")
    manager: bool = msgspec.field(name="ControlAvailable", default=False)
    node: str = msgspec.field(name="NodeID", default="")
    error: str = msgspec.field(name="Error", default="")
    managers: list[_Manager] | None = msgspec.field(name="RemoteManagers", default=None)
    cluster: _Cluster | None = msgspec.field(name="Cluster", default=None)


class Info(msgspec.Struct):
    swarm: LocalSwarmInfo = msgspec.field(name="Swarm", default_factory=LocalSwarmInfo)


class _ContainerStatus(msgspec.Struct):
    container: str = msgspec.field(name="ContainerID", default="")
    exit_code: json_field_types.ExitCode = msgspec.field(name="ExitCode", default=0)


class Status(msgspec.Struct):
    state: str = msgspec.field(name="State", default="")
    at: str = msgspec.field(name="Timestamp", default="")
    error: str = msgspec.field(name="Err", default="")
    message: str = msgspec.field(name="Message", default="")
    container: _ContainerStatus | None = msgspec.field(name="ContainerStatus", default=None)


class _Version(msgspec.Struct):
    index: json_field_types.Int64 = msgspec.field(name="Index")


class NodeDocument(msgspec.Struct):
    """Models a node with its whole specification, which is sent back with one change."""

    spec: dict[str, Any] = msgspec.field(name="Spec")
    version: _Version = msgspec.field(name="Version")


class _TaskContainer(msgspec.Struct):
    image: json_field_types.EssentialText = msgspec.field(name="Image", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


class _TaskSpec(msgspec.Struct):
    container: _TaskContainer | None = msgspec.field(name="ContainerSpec", default=None)


class Task(msgspec.Struct):
    id: str = msgspec.field(name="ID")
    service: str = msgspec.field(name="ServiceID", default="")
    node: str = msgspec.field(name="NodeID", default="")
    slot: json_field_types.Int64 = msgspec.field(name="Slot", default=0)
    desired: str = msgspec.field(name="DesiredState", default="")
    created: str = msgspec.field(name="CreatedAt", default="")
    status: Status = msgspec.field(name="Status", default_factory=Status)
    spec: _TaskSpec = msgspec.field(name="Spec", default_factory=_TaskSpec)

    @property
    def image(self) -> str:
        return self.spec.container.image if self.spec.container is not None else ""

    def is_wanted(self, *, node: str, ended: bool) -> bool:
        """Whether it is on the node with this id, or `node` is empty, and has not ended, or `ended`."""
        return node in ("", self.node) and (ended or self.status.state not in FINAL)

    @property
    def why(self) -> str:
        return (self.status.error or self.status.message).strip().rstrip(".")[:400]

    @property
    def exit_code(self) -> int | None:
        status = self.status
        ran = status.container is not None and status.container.container and status.state in FINAL
        return status.container.exit_code if ran and status.container is not None else None


class TaskVersion(msgspec.Struct):
    """Models a task with the whole specification that it was made from."""

    id: str = msgspec.field(name="ID")
    spec: dict[str, Any] = msgspec.field(name="Spec", default_factory=dict)


class ServiceVersions(msgspec.Struct):
    """Models a service with its whole specification, and the one before its last update."""

    id: str = msgspec.field(name="ID")
    spec: dict[str, Any] | None = msgspec.field(name="Spec", default=None)
    previous: dict[str, Any] | None = msgspec.field(name="PreviousSpec", default=None)


class _NodeSpec(msgspec.Struct):
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    role: str = msgspec.field(name="Role", default="")
    availability: str = msgspec.field(name="Availability", default="")


class _Platform(msgspec.Struct):
    architecture: str = msgspec.field(name="Architecture", default="")
    system: str = msgspec.field(name="OS", default="")


class _Engine(msgspec.Struct):
    version: str = msgspec.field(name="EngineVersion", default="")


class _Description(msgspec.Struct):
    host: str = msgspec.field(name="Hostname", default="")
    platform: _Platform = msgspec.field(name="Platform", default_factory=_Platform)
    engine: _Engine = msgspec.field(name="Engine", default_factory=_Engine)


class _NodeStatus(msgspec.Struct):
    state: str = msgspec.field(name="State", default="")
    message: str = msgspec.field(name="Message", default="")
    address: str = msgspec.field(name="Addr", default="")


class _ManagerStatus(msgspec.Struct):
    leader: bool = msgspec.field(name="Leader", default=False)
    reachability: str = msgspec.field(name="Reachability", default="")
    address: str = msgspec.field(name="Addr", default="")


class Node(msgspec.Struct):
    id: str = msgspec.field(name="ID")
    created: str = msgspec.field(name="CreatedAt", default="")
    updated: str = msgspec.field(name="UpdatedAt", default="")
    spec: _NodeSpec = msgspec.field(name="Spec", default_factory=_NodeSpec)
    description: _Description = msgspec.field(name="Description", default_factory=_Description)
    status: _NodeStatus = msgspec.field(name="Status", default_factory=_NodeStatus)
    manager: _ManagerStatus | None = msgspec.field(name="ManagerStatus", default=None)

    @property
    def name(self) -> str:
        return self.description.host or self.id[:12]


class _Replicas(msgspec.Struct):
    replicas: json_field_types.Int64 = msgspec.field(name="Replicas", default=1)


class _Mode(msgspec.Struct):
    replicated: _Replicas | None = msgspec.field(name="Replicated", default=None)
    everywhere: dict[str, Any] | None = msgspec.field(name="Global", default=None)
    replicated_job: dict[str, Any] | None = msgspec.field(name="ReplicatedJob", default=None)
    global_job: dict[str, Any] | None = msgspec.field(name="GlobalJob", default=None)

    @property
    def word(self) -> str:
        """`replicated`, `global`, `replicated-job` or `global-job`."""
        if self.replicated is not None:
            return "replicated"
        found = {"global": self.everywhere, "replicated-job": self.replicated_job, "global-job": self.global_job}
        return next((word for word, value in found.items() if value is not None), "replicated")


class _UpdateConfig(msgspec.Struct):
    parallelism: json_field_types.Int64 = msgspec.field(name="Parallelism", default=1)


class _ServiceSpec(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    template: _TaskSpec = msgspec.field(name="TaskTemplate", default_factory=_TaskSpec)
    mode: _Mode = msgspec.field(name="Mode", default_factory=_Mode)
    update: _UpdateConfig | None = msgspec.field(name="UpdateConfig", default=None)


class _ObjectSpec(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


class StackPart(msgspec.Struct):
    """Models a network, or a secret or a config, whose name and labels are in its `Spec`."""

    name: str = msgspec.field(name="Name", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    spec: _ObjectSpec | None = msgspec.field(name="Spec", default=None)


class UpdateStatus(msgspec.Struct):
    state: str = msgspec.field(name="State", default="")
    started: str = msgspec.field(name="StartedAt", default="")
    completed: str = msgspec.field(name="CompletedAt", default="")
    message: str = msgspec.field(name="Message", default="")


class _Port(msgspec.Struct):
    inside: json_field_types.Int64 | None = msgspec.field(name="TargetPort", default=None)
    outside: json_field_types.Int64 | None = msgspec.field(name="PublishedPort", default=None)
    protocol: str = msgspec.field(name="Protocol", default="")


class _Endpoint(msgspec.Struct):
    ports: list[_Port] | None = msgspec.field(name="Ports", default=None)


class Service(msgspec.Struct):
    """Models the fields of a service that lists show and that the watcher compares."""

    id: str = msgspec.field(name="ID")
    endpoint: _Endpoint | None = msgspec.field(name="Endpoint", default=None)
    created: str = msgspec.field(name="CreatedAt", default="")
    updated: str = msgspec.field(name="UpdatedAt", default="")
    spec: _ServiceSpec = msgspec.field(name="Spec", default_factory=_ServiceSpec)
    update: UpdateStatus | None = msgspec.field(name="UpdateStatus", default=None)

    @property
    def name(self) -> str:
        return self.spec.name or self.id[:12]


class _Descriptor(msgspec.Struct):
    digest: str


class _Variant(msgspec.Struct):
    architecture: str = ""
    system: str = msgspec.field(name="os", default="")


class Distribution(msgspec.Struct):
    """Models what a registry returned about an image."""

    descriptor: _Descriptor = msgspec.field(name="Descriptor")
    platforms: list[_Variant] | None = msgspec.field(name="Platforms", default=None)


class _Tokens(msgspec.Struct):
    worker: str = msgspec.field(name="Worker", default="")
    manager: str = msgspec.field(name="Manager", default="")

    def __repr__(self) -> str:
        return "_Tokens(…)"


class Cluster(msgspec.Struct):
    """Models the answer of `/swarm`, which only managers send."""

    id: str = msgspec.field(name="ID", default="")
    tokens: _Tokens = msgspec.field(name="JoinTokens", default_factory=_Tokens)


class _Actor(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")
    attributes: dict[str, str] | None = msgspec.field(name="Attributes", default=None)


class Event(msgspec.Struct):
    type: str = msgspec.field(name="Type", default="")
    action: str = msgspec.field(name="Action", default="")
    actor: _Actor = msgspec.field(name="Actor", default_factory=_Actor)
    scope: str = ""
    at_ns: json_field_types.UnixNanoseconds = msgspec.field(name="timeNano", default=0)
    at: json_field_types.UnixSeconds = msgspec.field(name="time", default=0)
