"""Says which rights of a pod Kubernetes' Pod Security levels forbid, as the standards of version 1.37 list them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SAFE_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SAFE_SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")


def violations(spec: dict[str, Any]) -> set[str]:
    """Returns what the level “restricted” forbids in a pod's specification, as the names of its fields."""
    return {*_of_pod(spec), *(each for container in _containers(spec) for each in _of_container(container, spec))}


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for kind in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(kind, ())]


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in HOST_NAMESPACES if spec.get(name))
    for volume in spec.get("volumes", ()):
        (kind,) = volume.keys() - {"name"}
        if kind not in SAFE_VOLUMES:
            yield f"volumes.{kind}"
    rights = spec.get("securityContext", {})
    if rights.get("sysctls"):
        yield "sysctls"


def _of_container(container: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    own, shared = container.get("securityContext", {}), spec.get("securityContext", {})
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield "capabilities.drop"
    if set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if own.get("runAsUser", shared.get("runAsUser")) == 0:
        yield "runAsUser"
    if own.get("seccompProfile", shared.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
    for one in (own, shared):
        if one.get("seLinuxOptions", {}).get("type") not in SAFE_SELINUX_TYPES:
            yield "seLinuxOptions"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield "hostPort"
