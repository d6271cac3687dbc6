"""Finds which parts of the host a Swarm service can access, and refuses a change that does not declare this access.

The policy decides on the access that an action declares (core.model.host_access). Before a specification is sent to the
Swarm, it is compared with that access again, for two reasons: a request can name the host's network by its id, and an
existing service may have changed since its row was listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from core import errors
from core.model import host_access
from core.model.host_access import HostAccess, MountPoint, Namespace
from core.model.service_actions import CreateService
from runtimes.base.concurrent_map import map_concurrently
from runtimes.formats import json_decoder
from runtimes.swarm.service_updates import TIMEOUT_SECONDS, SendRequest

MAX_NETWORKS = 4_096  # whose names are stored
MAX_CONCURRENT = 4  # inspections of networks
_ON_HOST = host_access.reaches_of(HostAccess(namespaces=(Namespace(kind="network"),)))


class _Network(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    driver: str = msgspec.field(name="Driver", default="")


class KnownNetworks:
    """Stores the name and the driver of each network of a Swarm, by its id. Neither of them ever changes."""

    def __init__(self) -> None:
        self._known: dict[str, _Network] = {}

    async def find(self, send: SendRequest, targets: Sequence[str]) -> Mapping[str, _Network]:
        """Returns the networks with these names or ids. One that does not exist is left out. Raises EngineError."""
        wanted = [target for target in dict.fromkeys(targets) if target]
        missing = [target for target in wanted if target not in self._known]

        async def ask(target: str) -> _Network | None:
            path = f"/networks/{urllib.parse.quote(target, safe='')}"
            try:
                answer = await send("GET", path, TIMEOUT_SECONDS)
            except errors.NotFound:
                return None
            return json_decoder.decode_json(_Network, answer.body)

        answers = await map_concurrently(ask, missing, limit=MAX_CONCURRENT)
        found = {target: one for target, one in zip(missing, answers, strict=True) if one is not None}
        if len(self._known) + len(found) > MAX_NETWORKS:
            self._known.clear()
        # A name may belong to another network later.
        self._known.update({target: one for target, one in found.items() if one.name != target})
        return {target: one for target in wanted if (one := self._known.get(target) or found.get(target)) is not None}

    async def find_in(self, send: SendRequest, targets: Sequence[str], seconds: float) -> Mapping[str, _Network]:
        """Does the same as `find`, within the time. A network that cannot be read by then is left out."""
        found: dict[str, _Network] = {}

        async def ask(target: str) -> None:
            with contextlib.suppress(errors.EngineError):
                found.update(await self.find(send, (target,)))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await map_concurrently(ask, list(dict.fromkeys(targets)), limit=MAX_CONCURRENT)
        return found


async def check_create(send: SendRequest, action: CreateService, networks: KnownNetworks) -> None:
    """Raises BadUsage if the host's network is given by its id."""
    found = await networks.find(send, action.settings.networks)
    for other in (name for name, one in found.items() if one.driver == host_access.HOST and name != host_access.HOST):
        raise errors.BadUsage(
            f"“{other}” is the network of the host, which is accepted only by its name host.",
            hint="Write: --network host",
        )


async def reaches_of_spec(send: SendRequest, spec: Mapping[str, Any], networks: KnownNetworks) -> tuple[str, ...]:
    """Returns what the tasks of a specification take from their hosts, one phrase for each."""
    return known_reaches(spec, await networks.find(send, networks_of(spec)))


def known_reaches(spec: Mapping[str, Any], networks: Mapping[str, _Network]) -> tuple[str, ...]:
    """Does the same with the networks that are known."""
    found = (networks.get(target) for target in networks_of(spec))
    on_host = any(one is not None and one.driver == host_access.HOST for one in found)
    return (*host_access.reaches_of(access_of(spec)), *(_ON_HOST if on_host else ()))


def check_declared(name: str, found: Sequence[str], declared: Sequence[str]) -> None:
    """Raises NotPermitted if a service would take more from its hosts than was declared. `found`: what it takes."""
    if undeclared := [reach for reach in found if reach not in declared]:
        raise errors.NotPermitted(
            f"Nothing was done: after the permission check, {name} was changed. Now it {', '.join(undeclared)}.",
            rule=host_access.VERB,
            hint="Give the command again.",
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
        volume = host_access.host_path_of_volume(driver.get("Options") or {})
        source = volume if mount.get("Type") == "volume" else str(mount.get("Source") or "")
        if source.startswith("/"):
            yield MountPoint(target=str(mount.get("Target") or ""), source=source)


def _security(privileges: Mapping[str, Any]) -> Iterator[str]:
    for name in ("Seccomp", "AppArmor", "SELinuxContext"):
        given = privileges.get(name) or {}
        mode = str(given.get("Mode") or "")
        if given.get("Disable") or mode in ("unconfined", "disabled", "custom"):
            yield f"{name}={mode or 'disabled'}"
