"""Models the JSON that Docker and Podman send alike: the fields that Quarterdeck reads. Other fields are ignored.

Lists and maps may be null, and older engines omit fields.
"""

from __future__ import annotations

import msgspec

from runtimes.formats import json_field_types


class HealthState(msgspec.Struct, gc=False):
    """Models the result of a container's health check."""

    status: str = msgspec.field(name="Status", default="")


class State(msgspec.Struct, gc=False):
    status: str = msgspec.field(name="Status")
    exit_code: json_field_types.ExitCode = msgspec.field(name="ExitCode", default=0)
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    started: str = msgspec.field(name="StartedAt", default="")
    finished: str = msgspec.field(name="FinishedAt", default="")
    health: HealthState | None = msgspec.field(name="Health", default=None)
    stopped_by_user: bool = msgspec.field(name="StoppedByUser", default=False)  # Podman 5


class HealthCheck(msgspec.Struct, gc=False):
    """Models the settings of a container's health check; times are nanoseconds, and 0 is the engine's default."""

    test: list[str] | None = msgspec.field(name="Test", default=None)
    interval: json_field_types.Int64 = msgspec.field(name="Interval", default=0)
    start_period: json_field_types.Int64 = msgspec.field(name="StartPeriod", default=0)


class Config(msgspec.Struct):
    image: json_field_types.EssentialText = msgspec.field(name="Image", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    command: list[str] | None = msgspec.field(name="Cmd", default=None)
    stop_timeout: int | None = msgspec.field(name="StopTimeout", default=None)
    health: HealthCheck | None = msgspec.field(name="Healthcheck", default=None)


class PortBinding(msgspec.Struct):
    ip: str = msgspec.field(name="HostIp", default="")
    port: str = msgspec.field(name="HostPort", default="")


class NetworkSettings(msgspec.Struct):
    ports: dict[str, list[PortBinding] | None] | None = msgspec.field(name="Ports", default=None)


class HostConfig(msgspec.Struct):
    auto_remove: bool = msgspec.field(name="AutoRemove", default=False)


class Inspection(msgspec.Struct):
    """One container, inspected. `image_name` is Podman's own field; in Docker it is `config.image`."""

    id: str = msgspec.field(name="Id")
    state: State = msgspec.field(name="State")
    config: Config = msgspec.field(name="Config")
    name: str = msgspec.field(name="Name", default="")
    created: str = msgspec.field(name="Created", default="")
    path: str = msgspec.field(name="Path", default="")
    args: list[str] | None = msgspec.field(name="Args", default=None)
    image_name: str = msgspec.field(name="ImageName", default="")
    image_id: str = msgspec.field(name="Image", default="")
    restarts: json_field_types.Int64 = msgspec.field(name="RestartCount", default=0)
    network: NetworkSettings = msgspec.field(name="NetworkSettings", default_factory=NetworkSettings)
    host: HostConfig | None = msgspec.field(name="HostConfig", default=None)


class Image(msgspec.Struct):
    """`containers` is -1 where Docker did not count them."""

    id: str = msgspec.field(name="Id")
    tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    digests: list[str] | None = msgspec.field(name="RepoDigests", default=None)
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)
    created: json_field_types.UnixSeconds = msgspec.field(name="Created", default=0)
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
    containers: json_field_types.Int64 | None = msgspec.field(name="Containers", default=None)


class Volume(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    driver: str = msgspec.field(name="Driver", default="")
    mountpoint: str = msgspec.field(name="Mountpoint", default="")
    created: str = msgspec.field(name="CreatedAt", default="")
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
