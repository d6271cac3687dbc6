"""Builds request bodies for creating containers, pods and networks on Podman, and the `podman` command line of a
container.

Podman stores that command line with the container, so that `podman generate systemd --new` can write a unit that
creates the container again. The `docker` package parses ports, sizes and health checks, as for Docker. The package is
imported at the first call, so call this module in a thread. Raises BadUsage with the package's message for an invalid
value.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core import errors
from core.model.create_container import CreateContainer
from core.model.host_access import MountPoint, Namespace
from core.model.networks_and_volumes import CreateNetwork
from core.model.pods import CreatePod
from runtimes.formats import image_reference

CPU_PERIOD = 100_000  # microseconds
CHECK_INTERVAL, CHECK_TIMEOUT, CHECK_RETRIES = (
    30_000_000_000,
    30_000_000_000,
    3,
)  # as `podman run` has them; nanoseconds
MODES = ("none", "host", "private", "bridge", "default")
_SPACES = {
    "network": "netns",
    "pid": "pidns",
    "ipc": "ipcns",
    "uts": "utsns",
    "userns": "userns",
    "cgroupns": "cgroupns",
}


def create_body(action: CreateContainer, labels: Mapping[str, str]) -> dict[str, Any]:
    """Returns the body. `labels`: those to add to the action's own."""
    import docker.utils.ports  # noqa: PLC0415 (it costs 100 ms and 10 MB)

    if action.links:
        raise errors.BadUsage(
            "Podman does not support --link.",
            hint="Leave it out, and put both containers into one network with --network NAME. There, they reach each"
            " other by name.",
        )
    try:
        return _body(docker, action, labels)
    except (docker.errors.DockerException, TypeError, ValueError) as error:
        raise errors.BadUsage(f"{str(error).rstrip('.')}.", hint="See the examples in: help run") from error


def pod_body(action: CreatePod) -> dict[str, Any]:
    """Returns the body of `POST /libpod/pods/create`. Raises BadUsage."""
    import docker.utils.ports  # noqa: PLC0415 (it costs 100 ms and 10 MB)

    try:
        ports = list(_ports(docker.utils.ports.build_port_bindings(list(action.ports))))
    except ValueError as error:
        raise errors.BadUsage(f"{str(error).rstrip('.')}.", hint="See the examples in: help pod create") from error
    body = {
        "name": action.name,
        "labels": dict(action.labels),
        "no_infra": not action.infra,
        "portmappings": ports,
        # Podman's own command line shares these, too. Without an infra container nothing is shared.
        "shared_namespaces": ["ipc", "net", "uts"] if action.infra else [],
        **_network(action.network),
    }
    return {key: value for key, value in body.items() if value not in ("", [], {}, False)}


def network_body(action: CreateNetwork) -> dict[str, Any]:
    """Returns the body of `POST /libpod/networks/create`. Raises BadUsage."""
    if action.attachable or action.scope not in ("", "local"):
        raise errors.BadUsage(
            "Podman has only local networks, which every container can join.",
            hint="Leave out --attachable and --scope.",
        )
    subnet: dict[str, Any] = {}
    if action.subnet:
        subnet["subnet"] = action.subnet
        if action.gateway:
            subnet["gateway"] = action.gateway
        if action.ip_range:
            addresses = ipaddress.ip_network(action.ip_range, strict=False)
            subnet["lease_range"] = {"start_ip": str(addresses[1]), "end_ip": str(addresses[-2])}
    body = {
        "name": action.name,
        "driver": action.driver,
        "internal": action.internal,
        "subnets": [subnet] if subnet else None,
        "labels": dict(action.labels),
        "dns_enabled": True,
    }
    return {key: value for key, value in body.items() if value is not None}


def command_line(action: CreateContainer) -> Sequence[str]:
    """Returns the words of `podman run` or `podman create` that make the same container."""
    return ["podman", *(("run", "-d") if action.start else ("create",)), *_options(action)]


def _body(docker: Any, action: CreateContainer, labels: Mapping[str, str]) -> dict[str, Any]:
    access = action.access
    name, _, tries = action.restart.partition(":")
    limits: dict[str, Any] = {}
    if action.memory:
        limits["memory"] = {"limit": docker.utils.parse_bytes(action.memory)}
    if action.cpus:
        limits["cpu"] = {"quota": round(action.cpus * CPU_PERIOD), "period": CPU_PERIOD}
    health = None
    if action.health:
        test = docker.types.Healthcheck(test=action.health).test
        health = {"Test": test, "Interval": CHECK_INTERVAL, "Timeout": CHECK_TIMEOUT, "Retries": CHECK_RETRIES}
    spaces = {_SPACES[each.kind]: _mode(each) for each in access.namespaces}
    body: dict[str, Any] = {
        "name": action.name,
        "image": str(image_reference.parse_image_reference(action.image)),
        "command": list(action.command),
        "entrypoint": list(action.entrypoint),
        "env": dict(action.environment),
        "labels": {**dict(action.labels), **labels},
        "portmappings": list(_ports(docker.utils.ports.build_port_bindings(list(action.ports)))),
        "mounts": [_bind(each) for each in access.mounts if each.is_host_path],
        "volumes": [
            {"Name": each.source, "Dest": each.target, "Options": ["ro"] if each.read_only else []}
            for each in access.mounts
            if not each.is_host_path
        ],
        "restart_policy": name,
        "restart_tries": int(tries) if tries else None,
        "resource_limits": limits,
        "user": action.user,
        "work_dir": action.workdir,
        "healthconfig": health,
        "remove": action.remove,
        "privileged": access.privileged,
        "pod": "" if access.pod is None else access.pod.id,
        "cap_add": list(access.capabilities),
        "devices": [{"path": device} for device in access.devices],
        "volumes_from": [ref.id for ref in access.volumes_from],
        "containerCreateCommand": list(command_line(action)),
        **_network(action.network),
        **spaces,
        **_security(access.security_options),
    }
    return {key: value for key, value in body.items() if value not in (None, "", [], {}, False)}


def _network(name: str) -> dict[str, Any]:
    if not name:
        return {}
    if name in MODES:
        return {"netns": {"nsmode": "bridge" if name == "default" else name}}
    return {"netns": {"nsmode": "bridge"}, "networks": {name: {}}}


def _mode(namespace: Namespace) -> dict[str, str]:
    if namespace.container is None:
        return {"nsmode": "host"}
    return {"nsmode": "container", "value": namespace.container.id}


def _bind(mount: MountPoint) -> dict[str, Any]:
    options = ["rbind", *(["ro"] if mount.read_only else [])]
    return {"destination": mount.target, "source": mount.source, "type": "bind", "options": options}


def _ports(bindings: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for inside, outside in bindings.items():
        port, _, protocol = inside.partition("/")
        for binding in outside:
            ip, public = binding if isinstance(binding, tuple) else ("", binding)
            if public is not None and "-" in str(public):
                raise errors.BadUsage(
                    f"Podman cannot publish the port {inside} on a range of ports of the host ({public}).",
                    hint=f"Write one port of the host, such as {str(public).partition('-')[0]}:{port}.",
                )
            found: dict[str, Any] = {"container_port": int(port), "protocol": protocol or "tcp"}
            found |= {"host_ip": ip} if ip else {}
            found |= {"host_port": int(public)} if public else {}
            yield found


def _security(options: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        key, _, value = option.replace(":", "=", 1).partition("=")
        if key == "no-new-privileges":
            found["no_new_privileges"] = value != "false"
        elif key == "label":
            found.setdefault("selinux_opts", []).append(value)
        elif key in ("seccomp", "apparmor"):
            found["seccomp_profile_path" if key == "seccomp" else "apparmor_profile"] = value
        else:
            raise errors.BadUsage(
                f"The security option “{key}” is not supported for Podman.",
                hint="Write no-new-privileges, label=…, seccomp=PATH or apparmor=PROFILE.",
            )
    return found


def _options(action: CreateContainer) -> Iterator[str]:  # noqa: PLR0912 (one branch for each option)
    access = action.access
    if action.name:
        yield from ("--name", action.name)
    for key, value in action.environment:
        yield from ("-e", f"{key}={value}")
    for key, value in action.labels:
        yield from ("-l", f"{key}={value}")
    for port in action.ports:
        yield from ("-p", port)
    for mount in access.mounts:
        source = f"{mount.source}:" if mount.source else ""
        yield from ("-v", f"{source}{mount.target}{':ro' if mount.read_only and source else ''}")
    for space in access.namespaces:
        flag = "--network" if space.kind == "network" else f"--{space.kind}"
        yield from (flag, "host" if space.container is None else f"container:{space.container.name}")
    for flag, text in (
        ("--network", action.network),
        ("--restart", action.restart),
        ("--memory", action.memory),
        ("--cpus", f"{action.cpus:g}" if action.cpus else ""),
        ("--user", action.user),
        ("--workdir", action.workdir),
        ("--health-cmd", action.health),
    ):
        if text:
            yield from (flag, text)
    if access.pod is not None:
        yield from ("--pod", access.pod.name)
    if action.entrypoint:
        yield from ("--entrypoint", action.entrypoint[0])
    if action.remove:
        yield "--rm"
    if access.privileged:
        yield "--privileged"
    for name in access.capabilities:
        yield from ("--cap-add", name)
    for device in access.devices:
        yield from ("--device", device)
    for option in access.security_options:
        yield from ("--security-opt", option)
    for ref in access.volumes_from:
        yield from ("--volumes-from", ref.name)
    yield str(image_reference.parse_image_reference(action.image))
    yield from action.entrypoint[1:]
    yield from action.command
