"""Builds the body of `POST /containers/create` with the `docker` package, for Docker.

The package knows the format: which option goes to which part, and since which version of the API. It is loaded at the
first request, so call this in a thread. If the package refuses a value, BadUsage is raised with the package's message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core import errors
from core.model.create_container import CreateContainer
from core.model.host_access import Namespace
from core.model.networks_and_volumes import CreateNetwork
from runtimes.formats import image_reference

OWN_NETWORKS = ("", "default", "bridge", "none", "host")


def create_body(action: CreateContainer, labels: Mapping[str, str], api: str) -> dict[str, Any]:
    """Returns the body. `labels`: those to add to the action's own; `api`: the version in use, such as `1.41`."""
    import docker.utils.ports  # noqa: PLC0415 (it costs 100 ms and 10 MB)

    try:
        return _body(docker, action, labels, api)
    except (docker.errors.DockerException, TypeError, ValueError) as error:
        raise errors.BadUsage(f"{str(error).rstrip('.')}.", hint="See the examples in: help run") from error


def network_body(action: CreateNetwork) -> dict[str, Any]:
    """Returns the body of `POST /networks/create`. Raises BadUsage."""
    import docker  # noqa: PLC0415 (as above)

    ipam = None
    if action.subnet or action.ip_range or action.gateway:
        pool = docker.types.IPAMPool(
            subnet=action.subnet or None, iprange=action.ip_range or None, gateway=action.gateway or None
        )
        ipam = docker.types.IPAMConfig(pool_configs=[pool])
    body = {
        "Name": action.name,
        "Driver": action.driver,
        "CheckDuplicate": True,
        "Internal": action.internal,
        "Attachable": action.attachable,
        "Scope": action.scope or None,
        "IPAM": ipam,
        "Labels": dict(action.labels),
    }
    return {key: value for key, value in body.items() if value is not None}


def _body(docker: Any, action: CreateContainer, labels: Mapping[str, str], api: str) -> dict[str, Any]:
    access, types = action.access, docker.types
    spaces = {each.kind: _mode(each) for each in access.namespaces}
    network = spaces.get("network") or action.network
    in_own_network = network not in OWN_NETWORKS and ":" not in network
    links = {link.target.id: link.alias for link in action.links}
    name, _, tries = action.restart.partition(":")
    bindings = docker.utils.ports.build_port_bindings(list(action.ports))
    host = types.HostConfig(
        version=api,
        network_mode=network or None,
        port_bindings=bindings or None,
        mounts=[
            types.Mount(
                each.target,
                each.source or None,
                type="bind" if each.is_host_path else "volume",
                read_only=each.read_only,
            )
            for each in access.mounts
        ]
        or None,
        links=None if in_own_network else links or None,
        restart_policy={"Name": name, "MaximumRetryCount": int(tries or 0)} if name else None,
        mem_limit=docker.utils.parse_bytes(action.memory) if action.memory else None,
        nano_cpus=round(action.cpus * 1e9) if action.cpus else None,
        auto_remove=action.remove,
        privileged=access.privileged,
        cap_add=list(access.capabilities) or None,
        devices=docker.utils.parse_devices(list(access.devices)) or None,
        security_opt=list(access.security_options) or None,
        volumes_from=[ref.id for ref in access.volumes_from] or None,
        pid_mode=spaces.get("pid"),
        ipc_mode=spaces.get("ipc"),
        uts_mode=spaces.get("uts"),
        userns_mode=spaces.get("userns"),
        cgroupns=spaces.get("cgroupns"),
    )
    endpoints = None
    if in_own_network:
        endpoints = types.NetworkingConfig({network: types.EndpointConfig(version=api, links=links or None)})
    config = types.ContainerConfig(
        api,
        str(image_reference.parse_image_reference(action.image)),
        list(action.command) or None,
        detach=True,
        user=action.user or None,
        ports={port if "/" in str(port) else f"{port}/tcp": {} for port in bindings} or None,
        environment=[f"{key}={value}" for key, value in action.environment] or None,
        entrypoint=list(action.entrypoint) or None,
        working_dir=action.workdir or None,
        labels={**dict(action.labels), **labels},
        host_config=host,
        networking_config=endpoints,
        healthcheck=types.Healthcheck(test=action.health) if action.health else None,
    )
    return {key: value for key, value in config.items() if value is not None}


def _mode(namespace: Namespace) -> str:
    return "host" if namespace.container is None else f"container:{namespace.container.id}"
