"""Models the JSON of Podman's own API (libpod): the fields that Quarterdeck reads. Other fields are ignored.

An empty list or map is nearly always null, and an older Podman omits the fields that it does not support.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runtimes.formats import json_field_types

# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class EventAttributes(msgspec.Struct, gc=False):
    """Models the attributes of one event. Podman sets `name`, `image`, `network` and `code` itself, whatever the labels
    are; `exit_code` is set only for the Docker-compatible `die`."""

    name: str = ""
    image: str = ""
    network: str = ""
    code: str = msgspec.field(name="containerExitCode", default="")
    exit_code: str = msgspec.field(name="exitCode", default="")


class Actor(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="ID", default="")
    attributes: EventAttributes = msgspec.field(name="Attributes", default_factory=EventAttributes)


class Event(msgspec.Struct, gc=False):
    """One event of the API. `cause` and `message`: an error, sent with status 200. `at`: whole seconds, which are used
    if `at_ns` is invalid."""

    type: str = msgspec.field(name="Type", default="")
    action: str = msgspec.field(name="Action", default="")
    actor: Actor = msgspec.field(name="Actor", default_factory=Actor)
    at_ns: json_field_types.UnixNanoseconds = msgspec.field(name="timeNano", default=0)
    at: json_field_types.UnixSeconds = msgspec.field(name="time", default=0)
    health: str = msgspec.field(name="HealthStatus", default="")
    cause: str = ""
    message: str = ""


class FileEvent(msgspec.Struct, gc=False):
    """One line of the event file."""

    type: str = msgspec.field(name="Type", default="")
    action: str = msgspec.field(name="Status", default="")
    id: str = msgspec.field(name="ID", default="")
    name: str = msgspec.field(name="Name", default="")
    image: str = msgspec.field(name="Image", default="")
    network: str = msgspec.field(name="Network", default="")
    at: str = msgspec.field(name="Time", default="")
    code: json_field_types.ExitCode | None = msgspec.field(name="ContainerExitCode", default=None)
    health: str = msgspec.field(name="health_status", default="")
    labels: dict[str, str] | None = msgspec.field(name="Attributes", default=None)


class AnyEvent(msgspec.Struct, gc=False):
    """One event, whether it comes from the API or from the event file."""

    at_ns: int
    type: str
    action: str
    id: str
    name: str
    image: str
    code: str
    health: str
    network: str


# ── containers ───────────────────────────────────────────────────────────────────────────────────────────────────


class Port(msgspec.Struct, gc=False):
    inside: json_field_types.Int64 = msgspec.field(name="container_port", default=0)
    outside: json_field_types.Int64 = msgspec.field(name="host_port", default=0)
    ip: str = msgspec.field(name="host_ip", default="")
    protocol: str = msgspec.field(name="protocol", default="tcp")
    count: json_field_types.Int64 = msgspec.field(name="range", default=1)


class ListedContainer(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    names: json_field_types.EssentialNames = msgspec.field(name="Names", default=None)
    image: json_field_types.EssentialText = msgspec.field(name="Image", default="")
    image_id: str = msgspec.field(name="ImageID", default="")
    command: list[str] | None = msgspec.field(name="Command", default=None)
    created: str = msgspec.field(name="Created", default="")
    state: str = msgspec.field(name="State", default="")
    status: str = msgspec.field(name="Status", default="")
    started: json_field_types.UnixSeconds = msgspec.field(name="StartedAt", default=0)
    ended: json_field_types.UnixSeconds = msgspec.field(name="ExitedAt", default=0)
    exit_code: json_field_types.ExitCode = msgspec.field(name="ExitCode", default=0)
    auto_remove: bool = msgspec.field(name="AutoRemove", default=False)
    ports: list[Port] | None = msgspec.field(name="Ports", default=None)
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────


class IdMap(msgspec.Struct):
    inside: json_field_types.Int64 = msgspec.field(name="container_id", default=0)
    outside: json_field_types.Int64 = msgspec.field(name="host_id", default=0)


class IdMaps(msgspec.Struct):
    users: list[IdMap] | None = msgspec.field(name="uidmap", default=None)


class Security(msgspec.Struct):
    rootless: bool = False


class OciRuntime(msgspec.Struct):
    name: str = ""
    version: str = ""


class Host(msgspec.Struct):
    hostname: str = ""
    os: str = ""
    arch: str = ""
    memory: json_field_types.Int64 = msgspec.field(name="memTotal", default=0)
    cgroup: str = msgspec.field(name="cgroupVersion", default="")
    events: str = msgspec.field(name="eventLogger", default="")
    runtime: OciRuntime = msgspec.field(name="ociRuntime", default_factory=OciRuntime)
    security: Security = msgspec.field(default_factory=Security)
    ids: IdMaps = msgspec.field(name="idMappings", default_factory=IdMaps)


class Counts(msgspec.Struct):
    number: json_field_types.Int64 = 0
    running: json_field_types.Int64 = 0


class Store(msgspec.Struct):
    driver: str = msgspec.field(name="graphDriverName", default="")
    root: str = msgspec.field(name="graphRoot", default="")
    run_root: str = msgspec.field(name="runRoot", default="")
    containers: Counts = msgspec.field(name="containerStore", default_factory=Counts)


class Version(msgspec.Struct):
    api: str = msgspec.field(name="APIVersion", default="")
    number: str = msgspec.field(name="Version", default="")


class Info(msgspec.Struct):
    host: Host = msgspec.field(default_factory=Host)
    store: Store = msgspec.field(default_factory=Store)
    version: Version = msgspec.field(default_factory=Version)

    @property
    def rootless(self) -> bool:
        return self.host.security.rootless

    @property
    def uid(self) -> int | None:
        """The user of a rootless engine; None for root's engine."""
        maps = self.host.ids.users or ()
        return next((one.outside for one in maps if one.inside == 0), None) if self.rootless else None

    @property
    def has_cgroups(self) -> bool:
        """Whether its containers have cgroups of their own: not if it is rootless on cgroup v1."""
        return not (self.rootless and self.host.cgroup == "v1")


class Error(msgspec.Struct):
    cause: str = ""
    message: str = ""


def inner_errors(answer: Mapping[str, Any]) -> list[str]:
    """The errors that an answer reports beside its result: `Err`, `Errs`, `Errors`."""
    found = [answer.get("Err")]
    for key in ("Errs", "Errors"):
        many = answer.get(key)
        found += many if isinstance(many, list) else [many]
    return [str(text) for text in found if text]
