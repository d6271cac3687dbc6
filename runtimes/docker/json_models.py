"""Models the JSON that a Docker daemon sends: the fields that Quarterdeck reads. Other fields are ignored.

Lists may be null, and every field may be missing: newer versions omit some fields (`VirtualSize` since API 1.44).
"""

from __future__ import annotations

import msgspec

from runtimes.docker_like import json_models as shared
from runtimes.formats import json_field_types
from runtimes.swarm import json_models

USUAL_ROOT = "/var/lib/docker"

# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────


class Info(msgspec.Struct):
    """Models the answer to `/info`."""

    name: str = msgspec.field(name="Name", default="")
    id: str = msgspec.field(name="ID", default="")
    version: str = msgspec.field(name="ServerVersion", default="")
    root: str = msgspec.field(name="DockerRootDir", default="")
    system: str = msgspec.field(name="OSType", default="")
    architecture: str = msgspec.field(name="Architecture", default="")
    storage: str = msgspec.field(name="Driver", default="")
    cgroup: str = msgspec.field(name="CgroupVersion", default="")
    containers: json_field_types.Int64 = msgspec.field(name="Containers", default=0)
    running: json_field_types.Int64 = msgspec.field(name="ContainersRunning", default=0)
    memory: json_field_types.Int64 = msgspec.field(name="MemTotal", default=0)
    swarm: json_models.LocalSwarmInfo = msgspec.field(name="Swarm", default_factory=json_models.LocalSwarmInfo)

    def identity(self) -> str:
        # Up to Docker 20 the id belongs to the machine (/etc/docker): two daemons on one machine share it.
        return self.id if self.root in ("", USUAL_ROOT) else f"{self.id}:{self.root}"


class Versions(msgspec.Struct):
    """Models the answer to `/version`."""

    oldest_api: str = msgspec.field(name="MinAPIVersion", default="")


class SwarmDetails(msgspec.Struct):
    """Models the part `Swarm` of `/info`, for people."""

    state: str = msgspec.field(name="LocalNodeState", default="inactive")
    manager: bool = msgspec.field(name="ControlAvailable", default=False)
    error: str = msgspec.field(name="Error", default="")
    nodes: json_field_types.Int64 | None = msgspec.field(name="Nodes", default=None)
    managers: json_field_types.Int64 | None = msgspec.field(name="Managers", default=None)


class Details(msgspec.Struct):
    """Models what `/info` reports beside `Info`, for people."""

    live_restore: bool = msgspec.field(name="LiveRestoreEnabled", default=False)
    swarm: SwarmDetails | None = msgspec.field(name="Swarm", default=None)
    warnings: list[str] | None = msgspec.field(name="Warnings", default=None)
    security: list[str] | None = msgspec.field(name="SecurityOptions", default=None)
    runtime: str | None = msgspec.field(name="DefaultRuntime", default=None)


class Component(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    version: str = msgspec.field(name="Version", default="")


class Components(msgspec.Struct):
    """Models the answer to `/version`."""

    components: list[Component] | None = msgspec.field(name="Components", default=None)


class Error(msgspec.Struct):
    message: str = ""


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Attributes(msgspec.Struct, gc=False, rename={"exit_code": "exitCode", "old_name": "oldName"}):
    name: str = ""
    image: str = ""
    exit_code: str = ""
    signal: str = ""
    old_name: str = ""
    container: str = ""


class Actor(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="ID", default="")
    attributes: Attributes = msgspec.field(name="Attributes", default_factory=Attributes)


class Event(msgspec.Struct, gc=False):
    """The older fields `status`, `id` and `from` are not read: API 1.52 dropped them. `at`: whole seconds, which are
    used if `at_ns` is invalid."""

    type: str = msgspec.field(name="Type", default="")
    action: str = msgspec.field(name="Action", default="")
    actor: Actor = msgspec.field(name="Actor", default_factory=Actor)
    at_ns: json_field_types.UnixNanoseconds = msgspec.field(name="timeNano", default=0)
    at: json_field_types.UnixSeconds = msgspec.field(name="time", default=0)


# ── containers ───────────────────────────────────────────────────────────────────────────────────────────────────


class Port(msgspec.Struct, gc=False):
    private: json_field_types.Int64 = msgspec.field(name="PrivatePort", default=0)
    public: json_field_types.Int64 | None = msgspec.field(name="PublicPort", default=None)
    ip: str = msgspec.field(name="IP", default="")
    protocol: str = msgspec.field(name="Type", default="tcp")


class ListedContainer(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    names: json_field_types.EssentialNames = msgspec.field(name="Names", default=None)
    image: json_field_types.EssentialText = msgspec.field(name="Image", default="")
    image_id: str = msgspec.field(name="ImageID", default="")
    command: str = msgspec.field(name="Command", default="")
    created: json_field_types.UnixSeconds = msgspec.field(name="Created", default=0)
    state: str = msgspec.field(name="State", default="")
    status: str = msgspec.field(name="Status", default="")
    ports: list[Port] | None = msgspec.field(name="Ports", default=None)
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


# ── networks and volumes ─────────────────────────────────────────────────────────────────────────────────────────


class Subnet(msgspec.Struct):
    subnet: str = msgspec.field(name="Subnet", default="")


class Ipam(msgspec.Struct):
    config: list[Subnet] | None = msgspec.field(name="Config", default=None)


class Network(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name", default="")
    driver: str = msgspec.field(name="Driver", default="")
    scope: str = msgspec.field(name="Scope", default="local")
    internal: bool = msgspec.field(name="Internal", default=False)
    ipam: Ipam | None = msgspec.field(name="IPAM", default=None)
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


class Volumes(msgspec.Struct):
    volumes: list[shared.Volume] | None = msgspec.field(name="Volumes", default=None)


# ── statistics ───────────────────────────────────────────────────────────────────────────────────────────────────


class CpuUsage(msgspec.Struct):
    total: json_field_types.Int64 = msgspec.field(name="total_usage", default=0)


class Cpu(msgspec.Struct):
    usage: CpuUsage = msgspec.field(name="cpu_usage", default_factory=CpuUsage)


class MemoryDetails(msgspec.Struct):
    inactive: json_field_types.Int64 | None = msgspec.field(name="inactive_file", default=None)
    total_inactive: json_field_types.Int64 | None = msgspec.field(name="total_inactive_file", default=None)
    limit: json_field_types.Int64 | None = msgspec.field(name="hierarchical_memory_limit", default=None)


class Memory(msgspec.Struct):
    usage: json_field_types.Int64 | None = None
    limit: json_field_types.Int64 | None = None
    stats: MemoryDetails | None = None


class NetworkTraffic(msgspec.Struct):
    received: json_field_types.Int64 = msgspec.field(name="rx_bytes", default=0)
    sent: json_field_types.Int64 = msgspec.field(name="tx_bytes", default=0)


class BlockBytes(msgspec.Struct):
    operation: str = msgspec.field(name="op", default="")
    value: json_field_types.Int64 = 0


class BlockStats(msgspec.Struct):
    bytes: list[BlockBytes] | None = msgspec.field(name="io_service_bytes_recursive", default=None)


class Processes(msgspec.Struct):
    current: json_field_types.Int64 | None = None


class Stats(msgspec.Struct):
    """The answer to `/containers/ID/stats`."""

    cpu: Cpu = msgspec.field(name="cpu_stats", default_factory=Cpu)
    memory: Memory = msgspec.field(name="memory_stats", default_factory=Memory)
    networks: dict[str, NetworkTraffic] | None = None
    blocks: BlockStats = msgspec.field(name="blkio_stats", default_factory=BlockStats)
    processes: Processes = msgspec.field(name="pids_stats", default_factory=Processes)

    @property
    def cpu_seconds(self) -> float:
        return self.cpu.usage.total / 1e9

    @property
    def ended(self) -> bool:
        """For a container that has ended, Docker sends zeros."""
        return not self.cpu.usage.total and self.memory.usage is None
