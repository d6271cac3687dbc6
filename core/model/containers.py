"""Defines the value that describes one container of any engine, and the labels that assign containers to projects and
services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from core.model.refs import Ref
from core.model.resource_facts import ResourceFacts

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTH_STATES = ("starting", "healthy", "unhealthy")
# What people are told instead of an exit code, by the kind of the engine that may not know it.
NO_EXIT_CODE = {"oci": "no exit code: runc and crun do not store it"}
LIVE_STATES = ("running", "paused")  # states in which a container has processes

# Labels that group containers: of docker compose, podman-compose and quadlet (same labels), Swarm, and the kubelet
# (pods of a namespace). A container also has the labels of its image, whose author may claim any group. So the labels
# of the tool that usually makes the containers of an engine come first: it writes them over those of the image.
COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
COMPOSE_SERVICE_LABEL = "com.docker.compose.service"
STACK_LABEL = "com.docker.stack.namespace"
_POD_LABELS = ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name")
_GROUP_LABELS = (
    (COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL),
    (STACK_LABEL, "com.docker.swarm.service.name"),
    ("io.podman.compose.project", "io.podman.compose.service"),
)
"""The labels with the project and the service, by tool."""
_NAMESPACE_LABEL, _KUBERNETES = "containerd.namespace", "k8s.io"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
SWARM_SERVICE_LABEL = "com.docker.swarm.service.id"
SWARM_NODE_LABEL = "com.docker.swarm.node.id"
# Quarterdeck never stops, kills, pauses, restarts or removes a container with this label.
PROTECTED_LABEL = "quarterdeck.protected"
# Only admins may read the log and the details of a container with this label, such as of Quarterdeck's store.
PART_LABEL = "quarterdeck.part"


class Port(msgspec.Struct, frozen=True, gc=False):
    """A port of a container. `public` and `ip` are set if it is published on the host."""

    private: int
    proto: str = "tcp"
    public: int | None = None
    ip: str = ""

    def __str__(self) -> str:
        inside = f"{self.private}/{self.proto}"
        if self.public is None:
            return inside
        ip = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{ip}:{self.public}->{inside}"


class Container(msgspec.Struct, frozen=True, gc=False):
    """One container. Times are unix seconds. `status` is the engine's own sentence at the time of the request. Fields
    that only an inspection returns (`started_at` … `oom_killed`) are None before one."""

    ref: Ref
    image: str
    image_id: str
    command: str
    state: str
    status: str
    created_at: float
    labels: dict[str, str]
    ports: tuple[Port, ...] = ()
    health: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    restarts: int | None = None
    oom_killed: bool | None = None
    stopped_by_client: bool = False
    """Whether the engine says that a client stopped its last run (Podman 5)."""
    auto_remove: bool | None = False
    """Whether the engine removes it when it ends (--rm). None: only an inspection shows it, and there was none."""
    own_id: str = ""
    """The id that the container's own runtime uses, if `ref.id` differs. Quarterdeck recognises its own container by
    it."""
    health_seconds: float | None = None
    """How long after its start its health check should have answered: the start period and the interval of the check.
    None without a check, and before an inspection."""

    @property
    def project(self) -> str | None:
        return next((self.labels[label] for label, _ in self._group_labels() if label in self.labels), None)

    @property
    def service(self) -> str | None:
        return next((self.labels[label] for _, label in self._group_labels() if label in self.labels), None)

    @property
    def one_off(self) -> bool:
        """Created by `docker compose run`: it carries the labels of its service but is not one of its replicas."""
        return self.labels.get(ONE_OFF_LABEL, "").lower() == "true"

    @property
    def group_name(self) -> str:
        """The name of its service, `shop/web` or in a Swarm `shop_web`; empty if it has none."""
        return group_name(self.project, self.service, in_stack=self.in_stack)

    @property
    def in_stack(self) -> bool:
        """Whether it belongs to a service of a Swarm stack, whose name begins with the stack's. A compose service may
        be called `app_db` in the project `app` too, and is then another one than `db`."""
        return STACK_LABEL in self.labels and COMPOSE_SERVICE_LABEL not in self.labels

    def _group_labels(self) -> Sequence[tuple[str, str]]:
        """The labels of groups by tool, with the one that is trusted most first."""
        if self.ref.engine.kind == "cri" or self.labels.get(_NAMESPACE_LABEL) == _KUBERNETES:
            return (_POD_LABELS, *_GROUP_LABELS)
        return (*_GROUP_LABELS, _POD_LABELS)

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(
            labels=self.labels,
            image=self.image,
            state=self.state,
            project=self.project,
            service=self.service,
            protected=protected(self.labels),
            at=at,
        )


def protected(labels: Mapping[str, str]) -> bool:
    """Whether these labels protect a container from changes."""
    return _is_true(labels.get(PROTECTED_LABEL, ""))


def is_part(labels: Mapping[str, str]) -> bool:
    """Whether these labels say that a container is a part of Quarterdeck."""
    return _is_true(labels.get(PART_LABEL, ""))


def _is_true(value: str) -> bool:
    return value.lower() in ("1", "true", "yes")


def group_name(project: str | None, service: str | None, *, in_stack: bool) -> str:
    """Returns `project/service`; the name of a stack's service already contains the stack (`shop_web` of `shop`)."""
    if project and service and not (in_stack and service.startswith(f"{project}_")):
        return f"{project}/{service}"
    return service or project or ""


def group_names(project: str | None, service: str | None, *, in_stack: bool) -> tuple[str, ...]:
    """Returns both names that people type for a service of a project: `shop/web` and `shop_web`."""
    if not (project and service):
        return ()
    bare = service.removeprefix(f"{project}_") if in_stack else service
    return (f"{project}/{bare}", f"{project}_{bare}")


class Containers(msgspec.Struct, frozen=True):
    """A list of containers. `source` is `engine` or `mirror`; `age`: seconds since the engine confirmed it. `missing`:
    a sentence why the list may be out of date; empty if it is not."""

    rows: tuple[Container, ...]
    source: str = "engine"
    age: float = 0.0
    missing: str = ""
