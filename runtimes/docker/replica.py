"""One more container like an existing one, as compose makes them: an inspection in, what `create` takes out; pure.

What belongs to one container alone is left behind: its name among the aliases, its own id, addresses and MAC, its host
name where it was not set by hand, its number, and anonymous volumes, of which each replica gets its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core import errors
from runtimes.compose import services

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
# Modes in which a container has no endpoint of its own, or one it is not asked about.
_NO_ENDPOINT = ("none", "host", "container:")


def separator(name: str, labels: Mapping[str, str]) -> str:
    """What stands between the parts of a replica's name (`-`, with the first compose `_`); empty where it has one of
    its own."""
    project, service = labels.get(services.PROJECT, ""), labels.get(services.SERVICE, "")
    number = labels.get(services.NUMBER, "")
    return next((mark for mark in "-_" if name == mark.join((project, service, number))), "")


def refuse(name: str, data: Mapping[str, Any]) -> None:
    """Raises UserError where a second one like this cannot be."""
    labels = data["Config"].get("Labels") or {}
    called = f"{labels.get(services.PROJECT)}/{labels.get(services.SERVICE)}"
    if not separator(name, labels):
        raise errors.UserError(
            f"{called} has a container with a name of its own, {name}, which only one can carry.",
            hint="Take container_name out of its compose file, then docker compose up.",
        )
    for inside, bindings in (data["HostConfig"].get("PortBindings") or {}).items():
        for binding in bindings or ():
            port = binding.get("HostPort") or ""
            if port not in ("", "0") and "-" not in port:
                raise errors.UserError(
                    f"{called} publishes port {port} of the host for {inside}, which only one container can have.",
                    hint="Publish a range (8000-8010:80) or no port of the host in its compose file, or put a proxy"
                    " before it.",
                )


def body(data: Mapping[str, Any], name: str, number: int, image: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body of `create`, and by network the endpoints to connect before the start: engines before API 1.44 take
    one at the creation."""
    config, host = dict(data["Config"]), dict(data["HostConfig"])
    old_id, old_name = data["Id"], data["Name"].lstrip("/")
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
        for network, given in (data["NetworkSettings"].get("Networks") or {}).items()
        if not network.startswith(_NO_ENDPOINT)
    }
    mode = host.get("NetworkMode") or ""
    first = {mode: endpoints.pop(mode)} if mode in endpoints else {}
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": first}}, endpoints


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
