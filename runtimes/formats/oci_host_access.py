"""Finds what a container can access on its host, from its OCI runtime specification. Several engines report such a
specification.

An engine adds mounts of its own to each container, such as `/etc/hosts`. These do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.model import host_access
from core.model.host_access import HostAccess, MountPoint, Namespace
from runtimes.formats import summary_text as text

_NAMESPACES = ("network", "pid", "ipc", "uts")
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
# Where engines mount files of their own.
ENGINE_TARGETS = frozenset(
    {
        *("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/dev/termination-log"),  # noqa: S108
        *("/run/.containerenv", "/run/secrets", "/var/run/secrets/kubernetes.io/serviceaccount"),
        *("/sbin/docker-init", "/run/podman-init", "/dev/init"),
    }
)


def host_access_of_specification(spec: Any) -> tuple[str, ...] | None:
    """Returns a phrase for each kind of access; none if the container has no access to its host. Returns None if the
    value is not a specification."""
    spec = text.mapping(spec)
    linux, process = text.mapping(spec.get("linux")), text.mapping(spec.get("process"))
    if not linux or not process:
        return None
    own = {str(one.get("type")) for one in text.mappings(linux.get("namespaces"))}
    capabilities = text.items(text.mapping(process.get("capabilities")).get("bounding"))
    return host_access.reaches_of(
        HostAccess(
            mounts=tuple(_mounts(spec)),
            namespaces=tuple(Namespace(kind=kind) for kind in _NAMESPACES if kind not in own),
            devices=tuple(
                str(one.get("path") or "")
                for one in text.mappings(linux.get("devices"))
                if one.get("path") not in USUAL_DEVICES
            ),
            capabilities=tuple(str(name) for name in capabilities if name not in USUAL_CAPABILITIES),
        )
    )


def _mounts(spec: Mapping[str, Any]) -> Iterator[MountPoint]:
    for one in text.mappings(spec.get("mounts")):
        source, target = str(one.get("source") or ""), str(one.get("destination") or "")
        bound = one.get("type") == "bind" or {"bind", "rbind"} & set(map(str, text.items(one.get("options"))))
        if bound and target not in ENGINE_TARGETS and not _is_volume(source):
            yield MountPoint(target=target, source=source)


def _is_volume(source: str) -> bool:
    """Whether a path is a volume of Docker or Podman, or one that the kubelet has filled for its pod."""
    return ("/volumes/" in source and source.endswith("/_data")) or "/volumes/kubernetes.io~" in source
