"""Finds which parts of the host a Swarm service can access, and refuses a request that does not declare this access.

The policy decides on the access that a request declares (core.model.host_access). But the host's network can be given
by its id instead of its name. And if an existing service mounts a path of the host, a new image gets this access
too.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from core import errors
from core.model import host_access, swarm
from core.model.host_access import HostAccess, MountPoint, Namespace
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.formats import json_decoder
from runtimes.swarm import rollouts
from runtimes.swarm.service_requests import TIMEOUT_SECONDS, SendRequest


class _Network(msgspec.Struct):
    driver: str = msgspec.field(name="Driver", default="")


async def check_create(send: SendRequest, action: swarm.CreateService) -> None:
    """Raises BadUsage if the host's network is given by its id."""
    if not action.needs() and await _is_on_host_network(send, action.networks):
        raise errors.BadUsage("One of these networks is the network of the host.", hint="Write its name: host.")


async def update_image(send: SendRequest, action: swarm.UpdateImage, timeout: float, job: Job) -> Outcome:
    """Updates the service as rollouts.update_image does, after `check_update`."""
    await check_update(send, action)
    return await rollouts.update_image(send, action.target, action.image, timeout, job)


async def check_update(send: SendRequest, action: swarm.UpdateImage) -> None:
    """Raises NotPermitted if the service takes more from its hosts than the action declares."""
    path = f"/services/{urllib.parse.quote(action.target.id, safe='')}"
    raw = json_decoder.decode_json_object((await send("GET", path, TIMEOUT_SECONDS)).body)
    with json_decoder.reading(f"The service {action.target.name}"):
        spec = raw["Spec"]
        networks = networks_of(spec)
        access = access_of(spec)
    found = host_access.reaches_of(access)
    if await _is_on_host_network(send, networks):
        found += host_access.reaches_of(HostAccess(namespaces=(Namespace(kind="network"),)))
    if undeclared := [reach for reach in found if reach not in action.reaches]:
        raise errors.NotPermitted(
            f"{action.target.name} {', '.join(undeclared)}, which its new image would get too.",
            rule=host_access.VERB,
            hint="Update it with docker service update on a manager.",
        )


def networks_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names or ids of the networks of a service's tasks."""
    template = spec.get("TaskTemplate") or {}
    listed = [*(template.get("Networks") or ()), *(spec.get("Networks") or ())]
    return tuple(str(network.get("Target") or "") for network in listed)


def access_of(spec: Mapping[str, Any]) -> HostAccess:
    """Returns what a service takes from its hosts, besides its networks."""
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return HostAccess(
        mounts=tuple(_mounts(container)),
        capabilities=tuple(map(str, container.get("CapabilityAdd") or ())),
        security_options=tuple(_security(container.get("Privileges") or {})),
    )


def _mounts(container: Mapping[str, Any]) -> Iterator[MountPoint]:
    for mount in container.get("Mounts") or ():
        driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
        device = str((driver.get("Options") or {}).get("device") or "")
        source = device if mount.get("Type") == "volume" else str(mount.get("Source") or "")
        if source.startswith("/"):
            yield MountPoint(target=str(mount.get("Target") or ""), source=source)


def _security(privileges: Mapping[str, Any]) -> Iterator[str]:
    for name in ("Seccomp", "AppArmor", "SELinuxContext"):
        given = privileges.get(name) or {}
        mode = str(given.get("Mode") or "")
        if given.get("Disable") or mode in ("unconfined", "disabled", "custom"):
            yield f"{name}={mode or 'disabled'}"


async def _is_on_host_network(send: SendRequest, networks: Sequence[str]) -> bool:
    """Whether one of these networks, by name or id, is the network of the host."""
    for network in networks:
        if not network:
            continue
        try:
            answer = await send("GET", f"/networks/{urllib.parse.quote(network, safe='')}", TIMEOUT_SECONDS)
        except errors.NotFound:
            continue  # the Swarm refuses it
        if json_decoder.decode_json(_Network, answer.body).driver == "host":
            return True
    return False
