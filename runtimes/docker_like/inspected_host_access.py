"""Finds what an inspected container of Docker or Podman can access on its host.

What it can access of other containers (their networks, their volumes) is left out. So is a volume that is a folder of
the host: an inspection of the container does not show that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.model import host_access
from core.model.host_access import HostAccess, MountPoint, Namespace
from runtimes.formats import summary_text as text

_NAMESPACES = {
    "NetworkMode": "network",
    "PidMode": "pid",
    "IpcMode": "ipc",
    "UTSMode": "uts",
    "UsernsMode": "userns",
}
HARMLESS_OPTION = "no-new-privileges"  # it only takes rights away


def host_access_of_container(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns a phrase for each kind of access; none if the container has no access to its host."""
    host = text.mapping(data.get("HostConfig"))
    options = (str(option) for option in text.items(host.get("SecurityOpt")))
    return host_access.reaches_of(
        HostAccess(
            mounts=tuple(
                MountPoint(target=str(one.get("Destination") or ""), source=str(one.get("Source") or ""))
                for one in text.mappings(data.get("Mounts"))
                if one.get("Type") == "bind"
            ),
            namespaces=tuple(Namespace(kind=kind) for key, kind in _NAMESPACES.items() if host.get(key) == "host"),
            devices=tuple(str(one.get("PathOnHost") or "") for one in text.mappings(host.get("Devices"))),
            capabilities=tuple(str(name) for name in text.items(host.get("CapAdd"))),
            security_options=tuple(option for option in options if not option.startswith(HARMLESS_OPTION)),
            privileged=bool(host.get("Privileged")),
        )
    )
