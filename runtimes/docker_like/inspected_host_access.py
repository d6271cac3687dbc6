"""Finds what an inspected container of Docker or Podman can access on its host.

It does not report access to other containers, such as their networks and volumes. A named volume may be a folder of the
host; an inspection shows that only if the container itself gives the volume's options. Podman's inspection does not
contain every option of a container. The other options are read from the command line, which Podman stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
# Engines forbid these to each container. Who may write the last one can restart the host.
MASKED, READ_ONLY = "/proc/kcore", ("/proc/sys", "/proc/sysrq-trigger")
UNMASKED = "systempaths=unconfined"
_RULE, _SECURITY = "--device-cgroup-rule", "--security-opt"


def find_host_access_of_container(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns a phrase for each kind of access; none if the container has no access to its host."""
    host, config = text.mapping(data.get("HostConfig")), text.mapping(data.get("Config"))
    created_with = _options(text.items(config.get("CreateCommand")), text.items(config.get("Cmd")))
    return host_access.reaches_of(
        HostAccess(
            mounts=tuple(_mounts(data, host)),
            namespaces=tuple(
                Namespace(kind=kind) for key, kind in _NAMESPACES.items() if _is_of_host(str(host.get(key) or ""))
            ),
            devices=tuple(_devices(host, created_with)),
            capabilities=tuple(str(name) for name in text.items(host.get("CapAdd"))),
            security_options=tuple(_security_options(host, created_with)),
            privileged=bool(host.get("Privileged")),
        )
    )


def _is_of_host(mode: str) -> bool:
    """Whether a namespace is outside of all containers. Podman joins one by its path, such as `ns:/proc/1/ns/net`."""
    return mode == "host" or mode.startswith("ns:")


def _mounts(data: Mapping[str, Any], host: Mapping[str, Any]) -> Iterator[MountPoint]:
    for one in text.mappings(data.get("Mounts")):
        if one.get("Type") != "bind":
            continue
        source, target = str(one.get("Source") or ""), str(one.get("Destination") or "")
        if source == "overlay":  # Podman's -v /etc:/host:O
            options = map(str, text.items(one.get("Options")))
            paths = host_access.overlaid_paths(options) or (f"/{source}",)
            yield from (MountPoint(target=target, source=path) for path in paths[:1])
        else:
            # A relative path is of the host, too.
            yield MountPoint(target=target, source=source if source.startswith("/") else f"/{source}")
    for one in text.mappings(host.get("Mounts")):
        driver = text.mapping(text.mapping(one.get("VolumeOptions")).get("DriverConfig"))
        if path := host_access.host_path_of_volume(text.mapping(driver.get("Options"))):
            yield MountPoint(target=str(one.get("Target") or ""), source=path)
    if data.get("Rootfs") == "/":  # Podman's --rootfs
        yield MountPoint(target="/", source="/")


def _devices(host: Mapping[str, Any], created_with: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from (str(one.get("PathOnHost") or "") for one in text.mappings(host.get("Devices")))
    for one in text.mappings(host.get("DeviceRequests")):  # graphics processors, and devices that a driver names
        names = text.items(one.get("DeviceIDs")) or [one.get("Driver") or "gpu"]
        yield from map(str, names)
    yield from map(str, text.items(host.get("DeviceCgroupRules")))
    yield from (value for option, value in created_with if option == _RULE)


def _security_options(host: Mapping[str, Any], created_with: Sequence[tuple[str, str]]) -> Iterator[str]:
    options = [str(option) for option in text.items(host.get("SecurityOpt"))]
    options += [value for option, value in created_with if option == _SECURITY and value.startswith("unmask")]
    yield from (option for option in options if not option.startswith(HARMLESS_OPTION))
    masked, read_only = host.get("MaskedPaths"), host.get("ReadonlyPaths")
    unmasked = isinstance(masked, list) and MASKED not in masked
    if unmasked or (isinstance(read_only, list) and not set(READ_ONLY).issubset(map(str, read_only))):
        yield UNMASKED


def _options(words: Sequence[Any], arguments: Sequence[Any]) -> list[tuple[str, str]]:
    """Returns those options of a command line of `podman run` that an inspection does not show. `arguments`: of the
    container's program, which end that line unless they are the image's own."""
    if arguments and words[-len(arguments) :] == arguments:
        words = words[: -len(arguments)]
    words = [str(word) for word in words]
    found = [(word, value) for word, value in zip(words, [*words[1:], ""], strict=False) if word in (_RULE, _SECURITY)]
    joined = (word.partition("=") for word in words if word.startswith((f"{_RULE}=", f"{_SECURITY}=")))
    return found + [(option, value) for option, _, value in joined]
