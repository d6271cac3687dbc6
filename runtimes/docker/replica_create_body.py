"""Builds the request that creates one more container of a Compose service, like an existing container.

The request is a copy of the existing container's inspect output, without the values that belong to that container
alone: its name in the list of network aliases, its id, its IP and MAC addresses, and its number. The host name is
copied only if a user has set it. Anonymous volumes are not copied, because each replica gets its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core import errors
from runtimes.compose import services

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_RANDOM_END = re.compile(r"(?:_[0-9a-f]{12})?")
# Network modes in which a container has no endpoint of its own to copy.
_NO_ENDPOINT = ("none", "host", "container:")


def build_replica_create_body(
    inspection: Mapping[str, Any], name: str, number: int, image: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the body of `create`, and the endpoints of further networks, by network. Those are connected before the
    start: engines before API 1.44 accept only one network in `create`."""
    config, host = dict(inspection["Config"]), dict(inspection["HostConfig"])
    old_id, old_name = inspection["Id"], inspection["Name"].lstrip("/")
    labels = {key: value for key, value in (config.get("Labels") or {}).items() if key != services.REPLACES}
    config |= {"Labels": {**labels, services.NUMBER: str(number)}, "Image": image}
    config.pop("MacAddress", None)
    if config.get("Hostname") == old_id[:12]:
        del config["Hostname"]
    binds: list[str] = []
    anonymous: dict[str, Any] = {}
    for bind in host.get("Binds") or ():
        source, _, rest = bind.partition(":")
        if _ANONYMOUS.fullmatch(source):
            anonymous[rest.partition(":")[0]] = {}
        else:
            binds.append(bind)
    host["Binds"] = binds
    host["Mounts"] = [_mount(mount) for mount in host.get("Mounts") or ()]
    host["ContainerIDFile"] = ""
    config["Volumes"] = {**(config.get("Volumes") or {}), **anonymous} or None
    endpoints = {
        network: _endpoint(given or {}, old_id, old_name, name)
        for network, given in (inspection["NetworkSettings"].get("Networks") or {}).items()
        if not network.startswith(_NO_ENDPOINT)
    }
    mode = host.get("NetworkMode") or ""
    first = {mode: endpoints.pop(mode)} if mode in endpoints else {}
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": first}}, endpoints


def name_separator(name: str, labels: Mapping[str, str]) -> str:
    """Returns the separator in a replica's name: `-`, with Compose v1 `_`; empty for a name that was set by hand.
    Compose 1.23 adds an underscore and random digits to the name (`shop_web_1_3f2a8c…`)."""
    name = services.lasting_name(name)
    project, service = labels.get(services.PROJECT, ""), labels.get(services.SERVICE, "")
    number = labels.get(services.NUMBER, "")
    ends = {mark: name.removeprefix(mark.join((project, service, number))) for mark in "-_"}
    return next((mark for mark, end in ends.items() if end != name and _RANDOM_END.fullmatch(end)), "")


def check_can_replicate(name: str, inspection: Mapping[str, Any]) -> None:
    """Raises UserError if there cannot be a second container like this one."""
    labels = inspection["Config"].get("Labels") or {}
    called = f"{labels.get(services.PROJECT)}/{labels.get(services.SERVICE)}"
    if not name_separator(name, labels):
        raise errors.UserError(
            f"{called} cannot be scaled: its Compose file sets the container name {name}, which only one container can"
            " have.",
            hint="Remove container_name from the Compose file, then run: docker compose up -d",
        )
    for inside, bindings in (inspection["HostConfig"].get("PortBindings") or {}).items():
        for binding in bindings or ():
            port = binding.get("HostPort") or ""
            if port not in ("", "0") and "-" not in port:
                raise errors.UserError(
                    f"{called} cannot be scaled: {name} publishes {inside} on port {port} of the host, which only one"
                    " container can use.",
                    hint="In the Compose file, publish a range of ports (8000-8010:80) or no port, then run: docker"
                    " compose up -d. Without a port, a proxy can pass requests on to the replicas.",
                )


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    anonymous = mount.get("Type") == "volume" and _ANONYMOUS.fullmatch(mount.get("Source") or "")
    return {key: value for key, value in mount.items() if not (anonymous and key == "Source")}


def _endpoint(given: Mapping[str, Any], old_id: str, old_name: str, name: str) -> dict[str, Any]:
    aliases = [name if alias == old_name else alias for alias in given.get("Aliases") or () if alias != old_id[:12]]
    return {
        "Aliases": aliases,
        "Links": given.get("Links"),
        "DriverOpts": given.get("DriverOpts"),
    }
