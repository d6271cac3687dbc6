"""Models the JSON of `podman inspect` for a container and its image: the fields that a systemd unit needs.

Other fields are ignored. Checked with Podman 4.3 and 5.4. A field that Podman omits or sends as null is empty. `Path`
and `Args` together are the command line. `Entrypoint` is not used: up to Podman 4 it is one string, which does not show
where an argument ends.
"""

from __future__ import annotations

import msgspec

from core.text import redact_json
from runtimes.formats import json_field_types

INIT = ("/run/podman-init", "/dev/init", "/catatonit")
DEFAULT_STOP_TIMEOUT = 10
DEFAULT_SHM = 65_536_000
DEFAULT_PIDS = 2048


class HealthCheck(msgspec.Struct, rename="pascal"):
    """Models the settings of a container's health check."""

    test: list[str] | None = None
    interval: json_field_types.Int64 = 0
    timeout: json_field_types.Int64 = 0
    retries: json_field_types.Int64 = 0
    start_period: json_field_types.Int64 = 0


class Secret(msgspec.Struct, rename="pascal"):
    name: str = ""


class Config(msgspec.Struct, rename="pascal"):
    hostname: str = ""
    user: str = ""
    tty: bool = False
    open_stdin: bool = False
    env: list[str] | None = None
    working_dir: str = ""
    labels: json_field_types.Labels = None
    annotations: dict[str, str] | None = None
    stop_signal: json_field_types.Int64 | str = 15
    healthcheck: HealthCheck | None = None
    healthcheck_on_failure_action: str = ""
    create_command: list[str] | None = None
    timezone: str = ""
    secrets: list[Secret] | None = None
    stop_timeout: json_field_types.Int64 = DEFAULT_STOP_TIMEOUT


class Mount(msgspec.Struct, rename="pascal"):
    type: str = ""
    name: str = ""
    source: str = ""
    destination: str = ""
    mode: str = ""
    rw: bool = msgspec.field(name="RW", default=True)
    propagation: str = ""


class Binding(msgspec.Struct, rename="pascal"):
    host_ip: str = ""
    host_port: str = ""


class Device(msgspec.Struct, rename="pascal"):
    on_host: str = msgspec.field(name="PathOnHost", default="")
    inside: str = msgspec.field(name="PathInContainer", default="")
    cgroup_permissions: str = ""


class Ulimit(msgspec.Struct, rename="pascal"):
    name: str = ""
    soft: json_field_types.Int64 = 0
    hard: json_field_types.Int64 = 0


class RestartPolicy(msgspec.Struct, rename="pascal"):
    name: str = ""
    maximum_retry_count: json_field_types.Int64 = 0


class LogConfig(msgspec.Struct, rename="pascal"):
    type: str = ""


class HostConfig(msgspec.Struct, rename="pascal"):
    network_mode: str = ""
    port_bindings: dict[str, list[Binding] | None] | None = None
    publish_all_ports: bool = False
    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    log_config: LogConfig = msgspec.field(default_factory=LogConfig)
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    ipc_mode: str = ""
    pid_mode: str = ""
    uts_mode: str = msgspec.field(name="UTSMode", default="")
    userns_mode: str = ""
    oom_score_adj: json_field_types.Int64 = 0
    privileged: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] | None = None
    tmpfs: dict[str, str] | None = None
    shm_size: json_field_types.Int64 = 0
    init: bool = False
    cpu_shares: json_field_types.Int64 = 0
    cpu_period: json_field_types.Int64 = 0
    cpu_quota: json_field_types.Int64 = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory: json_field_types.Int64 = 0
    memory_reservation: json_field_types.Int64 = 0
    memory_swap: json_field_types.Int64 = 0
    pids_limit: json_field_types.Int64 = 0
    devices: list[Device] | None = None
    ulimits: list[Ulimit] | None = None


class Network(msgspec.Struct, rename="pascal"):
    aliases: list[str] | None = None


class NetworkSettings(msgspec.Struct, rename="pascal"):
    networks: dict[str, Network | None] | None = None


class InspectedContainer(msgspec.Struct, rename="pascal"):
    id: str = ""
    name: str = ""
    path: str = ""
    args: list[str] | None = None
    image: str = ""
    image_name: str = ""
    rootfs: str = ""
    pod: str = ""
    is_infra: bool = False
    mounts: list[Mount] | None = None
    config: Config = msgspec.field(default_factory=Config)
    host_config: HostConfig = msgspec.field(default_factory=HostConfig)
    network_settings: NetworkSettings = msgspec.field(default_factory=NetworkSettings)

    def argv(self) -> list[str]:
        """Returns the command line without the init program that Podman puts before it."""
        arguments = [self.path, *(self.args or ())]
        return arguments[2:] if self.path in INIT and arguments[1:2] == ["--"] else arguments

    def anonymous_volumes(self) -> list[str]:
        """Returns the mount points of volumes without a name: Podman removes such volumes together with the
        container."""
        return [
            mount.destination
            for mount in self.mounts or ()
            if mount.type == "volume" and len(mount.name) == 64 and not mount.name.strip("0123456789abcdef")
        ]

    def contains_env_values(self) -> bool:
        """Returns whether the command line that created the container contains values of environment variables."""
        return redact_json.contains_env_values(self.config.create_command or ())


class ImageConfig(msgspec.Struct, rename="pascal"):
    user: str = ""
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    working_dir: str = ""
    labels: json_field_types.Labels = None


class InspectedImage(msgspec.Struct, rename="pascal"):
    config: ImageConfig = msgspec.field(default_factory=ImageConfig)
    healthcheck: HealthCheck | None = None
