"""Defines the settings of a Swarm service: what a person sets when they create or update one.

A setting that is empty or None was not given: a new service gets the Swarm's default, an existing one keeps its own.
Durations are in seconds. The names and units are those of `docker service create`.
"""

from __future__ import annotations

from core.lazy_dataclass import dataclass
from core.model import host_access
from core.model.host_access import HostAccess, MountPoint, Namespace
from core.model.refs import Ref

MODES = ("replicated", "global", "replicated-job", "global-job")
UPDATE_FAILURE_ACTIONS = ("pause", "continue", "rollback")
ROLLBACK_FAILURE_ACTIONS = ("pause", "continue")
ORDERS = ("stop-first", "start-first")
RESTART_CONDITIONS = ("none", "on-failure", "any")
ENDPOINT_MODES = ("vip", "dnsrr")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of the tasks. `published`: the port of the nodes; 0: the Swarm chooses one. `on_host`: only the nodes that
    run a task publish it; otherwise every node does."""

    target: int
    published: int = 0
    protocol: str = "tcp"
    on_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedValue:
    """A secret or a config that is a file in the tasks. `path`: empty: its name, under /run/secrets or in the root
    directory. `mode`: permission bits."""

    target: Ref
    path: str = ""
    uid: str = ""
    gid: str = ""
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A limit or a reservation of one task. `memory`: such as `512m`; `0` removes the limit, as 0 does for `cpus` and
    `pids`, the most processes (of a limit only)."""

    cpus: float | None = None
    memory: str = ""
    pids: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How the Swarm replaces tasks in an update or a rollback. `parallelism`: tasks at once, 0: all. `monitor`: how
    long each new task is watched for a failure. `max_failure_ratio`: from 0 to 1."""

    parallelism: int | None = None
    delay: float | None = None
    failure_action: str = ""
    monitor: float | None = None
    max_failure_ratio: float | None = None
    order: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRestarts:
    """When the Swarm replaces a task that has ended."""

    condition: str = ""
    delay: float | None = None
    max_attempts: int | None = None
    window: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """The health check of the tasks. `command`: a command line for the image's shell. `disabled`: there is none, even
    if the image has one."""

    command: str = ""
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServers:
    """Where the tasks look up names. `addresses`: IP addresses; `searches`: domains; `options`: as in resolv.conf."""

    addresses: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDriver:
    """Where the engine of a node writes the output of the tasks. `name`: empty: unchanged."""

    name: str = ""
    options: tuple[tuple[str, str], ...] = ()


NO_SERVERS, NO_DRIVER = NameServers(), LogDriver()
NO_AMOUNT, NO_ROLLOUT, NO_RESTARTS, NO_HEALTH_CHECK = Amount(), Rollout(), TaskRestarts(), HealthCheck()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Holds all settings of a service but its name, its mode and its number of replicas. `command`: the arguments of
    the image's entrypoint; `entrypoint`: the program instead of it. `container_labels`: of the tasks' containers;
    `labels`: of the service itself. `preferences`: as `spread=node.labels.zone`; `max_per_node`: tasks on one node, 0:
    any number. `sysctls`: kernel settings of the tasks' own namespaces; `ulimits`: as `nofile=1024:2048`; `groups`:
    further groups of the user. Lists of an existing service get these entries too; an entry with the same name,
    path or published port replaces the old one."""

    image: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    container_labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    networks: tuple[str, ...] = ()
    mounts: tuple[MountPoint, ...] = ()
    secrets: tuple[MountedValue, ...] = ()
    configs: tuple[MountedValue, ...] = ()
    constraints: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    max_per_node: int | None = None
    limits: Amount = NO_AMOUNT
    reservations: Amount = NO_AMOUNT
    user: str = ""
    workdir: str = ""
    hostname: str = ""
    stop_signal: str = ""
    stop_grace: float | None = None
    read_only: bool = False
    init: bool = False
    capabilities: tuple[str, ...] = ()
    dropped_capabilities: tuple[str, ...] = ()
    restarts: TaskRestarts = NO_RESTARTS
    update: Rollout = NO_ROLLOUT
    rollback: Rollout = NO_ROLLOUT
    health: HealthCheck = NO_HEALTH_CHECK
    endpoint_mode: str = ""
    name_servers: NameServers = NO_SERVERS
    sysctls: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    log_driver: LogDriver = NO_DRIVER

    def host_access(self) -> HostAccess:
        """Returns what these settings take from the hosts of the tasks."""
        namespaces = (Namespace(kind="network"),) if host_access.HOST in self.networks else ()
        return HostAccess(
            mounts=self.mounts,
            namespaces=namespaces,
            capabilities=self.capabilities,
            log_driver=self.log_driver.name,
        )

    @property
    def changes_program(self) -> bool:
        """Whether tasks with these settings may do something else than before with what they can reach."""
        given = (self.image, self.command, self.entrypoint, self.environment, self.user, self.workdir, self.hostname)
        reached = (self.networks, self.mounts, self.secrets, self.configs, self.capabilities, self.health.command)
        places = (self.constraints, self.preferences)  # other nodes are other hosts
        settings = (self.sysctls, self.groups, self.name_servers != NO_SERVERS)
        return any(given) or any(reached) or any(places) or any(settings)

    @property
    def changes_tasks(self) -> bool:
        """Whether the Swarm replaces the tasks for these settings. It does so for any change of a published port."""
        more = (self.container_labels, self.stop_signal, self.dropped_capabilities, self.ports, self.endpoint_mode)
        amounts = (self.limits, self.reservations) != (NO_AMOUNT, NO_AMOUNT)
        rules = (self.restarts, self.health, self.log_driver) != (NO_RESTARTS, NO_HEALTH_CHECK, NO_DRIVER)
        given = self.stop_grace is not None or self.max_per_node is not None or bool(self.ulimits)
        return self.changes_program or any(more) or amounts or rules or given or self.read_only or self.init


@dataclass(frozen=True, slots=True, kw_only=True)
class Removals:
    """Names what an update takes away from a service. `ports`: as `80` or `53/udp`, of the tasks; `mounts`: paths in
    the tasks; everything else by name."""

    environment: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    container_labels: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    name_servers: NameServers = NO_SERVERS
    sysctls: tuple[str, ...] = ()
    ulimits: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def changes_program(self) -> bool:
        lists = (self.environment, self.networks, self.mounts, self.secrets, self.configs, self.sysctls, self.groups)
        return any((*lists, self.constraints, self.preferences, self.name_servers != NO_SERVERS))

    @property
    def changes_tasks(self) -> bool:
        return self.changes_program or any((self.container_labels, self.ports, self.ulimits))


UNCHANGED, NOTHING_REMOVED = ServiceSettings(), Removals()
