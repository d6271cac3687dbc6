"""Finds what a container can access on its host, from its OCI runtime specification. Several engines report such a
specification.

What an engine gives to each container does not count: the mounts that `engine_mounts` recognises, and some devices.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from core.model import host_access
from core.model.host_access import HostAccess, MountPoint, Namespace
from runtimes.formats import engine_mounts
from runtimes.formats import summary_text as text

_NAMESPACES = ("network", "pid", "ipc", "uts")
_HOST = "/proc/1/ns/"  # of the host's first process
UNMASKED = "systempaths=unconfined"
# What Docker, Podman, containerd and the kubelet give to a container that asks for nothing.
USUAL_CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
USUAL_DEVICES = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
)
# Devices that these engines allow to each container: null, zero, full, random, urandom, terminals, tun.
USUAL_RULES = frozenset(
    ("c", *numbers.split(":"))
    for numbers in ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "10:200", "136:*")
)
# File systems without a source on the host. Their `source` is any text.
_WITHOUT_SOURCE = ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "ramfs")


def find_host_access_of_specification(spec: Any, bundle: str = "/") -> tuple[str, ...] | None:
    """Returns a phrase for each kind of access; none if the container has no access to its host. Returns None if the
    value is not a specification. `bundle`: the directory that relative paths in the specification start from."""
    spec = text.mapping(spec)
    linux, process = text.mapping(spec.get("linux")), text.mapping(spec.get("process"))
    if not linux or not process:
        return None
    own = {str(one.get("type")): str(one.get("path") or "") for one in text.mappings(linux.get("namespaces"))}
    capabilities = text.items(text.mapping(process.get("capabilities")).get("bounding"))
    return host_access.reaches_of(
        HostAccess(
            mounts=tuple(_mounts(spec, bundle)),
            namespaces=tuple(Namespace(kind=kind) for kind in _NAMESPACES if own.get(kind, _HOST).startswith(_HOST)),
            devices=tuple(_devices(linux)),
            capabilities=tuple(str(name) for name in capabilities if name not in USUAL_CAPABILITIES),
            security_options=(UNMASKED,) if [] in (linux.get("maskedPaths"), linux.get("readonlyPaths")) else (),
        )
    )


def _mounts(spec: Mapping[str, Any], bundle: str) -> Iterator[MountPoint]:
    root = text.mapping(spec.get("root")).get("path")
    if isinstance(root, str) and root and _absolute(root, bundle) == "/":
        yield MountPoint(target="/", source="/")
    for one in text.mappings(spec.get("mounts")):
        source, target, kind = (str(one.get(key) or "") for key in ("source", "destination", "type"))
        options = tuple(map(str, text.items(one.get("options"))))
        paths: tuple[str, ...] = ()
        if kind in ("bind", "rbind") or {"bind", "rbind"}.intersection(options):
            paths = (_absolute(source, bundle),)
        elif kind == "overlay":
            paths = tuple(
                path for path in host_access.overlaid_paths(options) if not engine_mounts.is_layer(spec, path)
            )
        elif source.startswith("/") and kind not in _WITHOUT_SOURCE:
            paths = (source,)  # a file system of a device of the host, or of a file
        yield from (
            MountPoint(target=target, source=path)
            for path in paths[:1]
            if not engine_mounts.is_engine_mount(spec, path, target)
        )


def _absolute(path: str, bundle: str) -> str:
    return posixpath.normpath(posixpath.join("/", bundle, path))


def _devices(linux: Mapping[str, Any]) -> Iterator[str]:
    """Yields the devices that an engine does not give to each container, and the rules that allow more."""
    files = text.mappings(linux.get("devices"))
    yield from (str(one.get("path") or "") for one in files if str(one.get("path")) not in USUAL_DEVICES)
    given = {(str(one.get("type")), _number(one, "major"), _number(one, "minor")) for one in files}
    found: list[str] = []
    for rule in text.mappings(text.mapping(linux.get("resources")).get("devices")):
        kind, access = str(rule.get("type") or "a"), str(rule.get("access") or "rwm")
        device = (kind, _number(rule, "major"), _number(rule, "minor"))
        if not rule.get("allow"):
            # A rule that denies all devices ends those before it.
            found = [] if device == ("a", "*", "*") else found
        elif {"r", "w"}.intersection(access) and device not in USUAL_RULES and device not in given:
            found.append(f"{kind} {device[1]}:{device[2]} {access}")
    yield from found


def _number(device: Mapping[str, Any], key: str) -> str:
    """Returns the major or minor number of a device; `*` if a rule leaves it open."""
    number = device.get(key)
    return str(number) if isinstance(number, int) and number >= 0 else "*"
