"""Names the owner of a container: what stays the same when the container is replaced by a new one.

The owner is a replica of a Compose service, a Swarm service, a pod's container, or else the container's own name. An
alert about a container is stored under its owner, so a recreated container has the same alert.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.model.containers import (
    COMPOSE_PROJECT_LABEL,
    COMPOSE_SERVICE_LABEL,
    STACK_LABEL,
    Container,
    group_name,
)
from core.model.refs import Ref

COMPOSE_NUMBER_LABEL = "com.docker.compose.container-number"
SWARM_SERVICE_NAME_LABEL = "com.docker.swarm.service.name"
POD_NAMESPACE_LABEL = "io.kubernetes.pod.namespace"
POD_NAME_LABEL = "io.kubernetes.pod.name"
POD_CONTAINER_LABEL = "io.kubernetes.container.name"
# A Deployment names its pods NAME-HASH-SUFFIX, a DaemonSet NAME-SUFFIX. Kubernetes uses these letters and digits only.
_POD_SUFFIX = re.compile(r"(?:-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}$")
# Compose renames a container to 12HEX_NAME while it creates the one that replaces it.
_BEING_REPLACED = re.compile(r"^[0-9a-f]{12}_")


def find_owner(ref: Ref, labels: Mapping[str, str]) -> str:
    """Returns the owner of a container with these labels, for example `shop/web`, `shop/web/2` or `kube-system/dns`.

    The first replica of a Compose service has no number. For any other kind of resource, its name is returned.
    """
    if ref.engine.kind == "cri" or labels.get("containerd.namespace") == "k8s.io":
        pod, namespace = labels.get(POD_NAME_LABEL, ""), labels.get(POD_NAMESPACE_LABEL, "")
        if pod:
            parts = (namespace, _POD_SUFFIX.sub("", pod), labels.get(POD_CONTAINER_LABEL, ""))
            return "/".join(part for part in parts if part)
    project, service = labels.get(COMPOSE_PROJECT_LABEL), labels.get(COMPOSE_SERVICE_LABEL)
    if project and service:
        number = labels.get(COMPOSE_NUMBER_LABEL, "1")
        return group_name(project, service, in_stack=False) + ("" if number == "1" else f"/{number}")
    if service := labels.get(SWARM_SERVICE_NAME_LABEL):
        return service
    return _BEING_REPLACED.sub("", ref.name) or ref.short_id


def owner_of_container(container: Container) -> str:
    """Returns the owner of a container, as `find_owner`."""
    return find_owner(container.ref, container.labels)


def project_of(labels: Mapping[str, str]) -> str:
    """Returns the Compose project or the Swarm stack of these labels, or the namespace of a pod; empty without one."""
    return labels.get(COMPOSE_PROJECT_LABEL) or labels.get(STACK_LABEL) or labels.get(POD_NAMESPACE_LABEL) or ""
