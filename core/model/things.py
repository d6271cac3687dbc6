"""What exists on an engine, in the smallest common record; engine-specific detail goes through `inspect` as a
document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from core.model.refs import EngineRef, Facts, Ref

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTHS = ("starting", "healthy", "unhealthy")

# Labels by which engines' front ends group containers: the kubelet (a namespace's pods), docker compose, podman-compose
# and quadlet (same labels), swarm. The kubelet's are first: beside them a pod has labels its users write.
STACK_LABEL = "com.docker.stack.namespace"
PROJECT_LABELS = (
    "io.kubernetes.pod.namespace",
    "com.docker.compose.project",
    STACK_LABEL,
    "io.podman.compose.project",
)
SERVICE_LABELS = (
    "io.kubernetes.pod.name",
    "com.docker.compose.service",
    "com.docker.swarm.service.name",
    "io.podman.compose.service",
)
ONE_OFF_LABEL = "com.docker.compose.oneoff"
SWARM_SERVICE_LABEL = "com.docker.swarm.service.id"
SWARM_NODE_LABEL = "com.docker.swarm.node.id"
# A container that carries this label is never stopped, killed, paused, restarted or removed by Quarterdeck.
PROTECTED_LABEL = "quarterdeck.protected"


class Port(msgspec.Struct, frozen=True, gc=False):
    """A port of a container; `public` and `ip` are set where it is published on the host."""

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
    """One container. Times are unix seconds. `status` is the engine's own sentence at the time it was asked; fields
    that only an inspection knows (`started_at` … `oom_killed`) are None until one was made."""

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
    own_id: str = ""
    """What it is called by whatever runs it, where `ref.id` is not that: Quarterdeck knows itself by it."""

    @property
    def project(self) -> str | None:
        return _first(self.labels, PROJECT_LABELS)

    @property
    def service(self) -> str | None:
        return _first(self.labels, SERVICE_LABELS)

    @property
    def one_off(self) -> bool:
        """Made by `docker compose run`: it carries its service's labels and is none of its replicas."""
        return self.labels.get(ONE_OFF_LABEL, "").lower() == "true"

    @property
    def group(self) -> str:
        """What people call the service it belongs to: `shop/web`, in a Swarm `shop_web`; empty outside of one."""
        return group(self.project, self.service)

    def facts(self, at: datetime) -> Facts:
        return Facts(
            labels=self.labels,
            image=self.image,
            state=self.state,
            project=self.project,
            service=self.service,
            protected=protected(self.labels),
            at=at,
        )


def protected(labels: Mapping[str, str]) -> bool:
    return labels.get(PROTECTED_LABEL, "").lower() in ("1", "true", "yes")


def group(project: str | None, service: str | None) -> str:
    # A stack's services carry its name already: `shop_web` of `shop`.
    if project and service and not service.startswith(f"{project}_"):
        return f"{project}/{service}"
    return service or project or ""


def group_words(project: str | None, service: str | None) -> tuple[str, ...]:
    """What people type for a service of a project: `shop/web` and `shop_web`; none where it has no project."""
    if not (project and service):
        return ()
    bare = service.removeprefix(f"{project}_")
    return (f"{project}/{bare}", f"{project}_{bare}")


def _first(labels: dict[str, str], keys: Sequence[str]) -> str | None:
    return next((labels[key] for key in keys if key in labels), None)


class Containers(msgspec.Struct, frozen=True):
    """A list of containers and how good it is: `source` is `engine` or `mirror`, `age` its seconds since confirmed."""

    rows: tuple[Container, ...]
    source: str = "engine"
    age: float = 0.0


class Service(msgspec.Struct, frozen=True):
    """A service: what a compose project or a Swarm runs several alike of.

    `mode` is `compose`, or Swarm's `replicated`, `global`, `replicated-job`, `global-job`; `swarm` where all we know
    are this worker's own tasks. `desired` is None where the engine cannot say. `labels` has each different set of
    labels its parts carry, since permission must hold for all of them; `members` are the ids of its containers as far
    as known. `health` and `update` are sentences, empty where there is nothing to say.
    """

    ref: Ref
    mode: str
    image: str
    running: int
    desired: int | None
    labels: tuple[dict[str, str], ...]
    project: str | None = None
    service: str = ""
    members: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    health: str = ""
    update: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What it is called in full, whoever says it: `shop/web`, `shop_web`."""
        return tuple(dict.fromkeys((self.ref.name, *group_words(self.project, self.service))))

    @property
    def short(self) -> str:
        return self.service.removeprefix(f"{self.project}_") if self.project else self.service

    def facts(self, at: datetime) -> tuple[Facts, ...]:
        """One for each different set of labels. It is protected where one of its containers is."""
        return tuple(
            Facts(
                labels=labels,
                image=self.image,
                project=self.project,
                service=self.service,
                protected=any(map(protected, self.labels)),
                at=at,
            )
            for labels in self.labels or ({},)
        )

    def holds(self, container: Container) -> bool:
        # A Swarm's has its containers on the engines of many nodes.
        return container.ref.id in self.members


class Services(msgspec.Struct, frozen=True):
    """The services of one engine; `missing` says what of them could not be asked for."""

    rows: tuple[Service, ...]
    missing: str = ""


def once(rows: Iterable[Service]) -> list[Service]:
    """Each Swarm service once, though workers tell of their part of it: what the Swarm itself says stands before."""
    kept: dict[object, Service] = {}
    for row in rows:
        key = row.ref if row.mode == "compose" else row.ref.id
        if key not in kept or (kept[key].desired is None and row.desired is not None):
            kept[key] = row
    return list(kept.values())


class Document(msgspec.Struct, frozen=True):
    """The engine's own words about one thing, as decoded JSON with the values of environment variables hidden."""

    ref: Ref
    data: dict[str, Any]


class LogLine(msgspec.Struct, frozen=True):
    """One line a container wrote. `at`: RFC 3339 with nanoseconds as the engine gave it; `stream`: stdout or stderr."""

    at: str
    stream: str
    text: str


class LogPage(msgspec.Struct, frozen=True):
    """Lines, oldest first. `dropped`: older lines left out to keep the page bounded; `cursor`: read on from here (an
    opaque word; a datetime would lose nanoseconds); `end`: the container has ended, nothing more can follow."""

    lines: tuple[LogLine, ...]
    cursor: str = ""
    dropped: int = 0
    end: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """How a change ended. `status` is one of core.model.replies.Status; `took` is seconds."""

    status: str
    detail: str = ""
    took: float = 0.0


class Executed(msgspec.Struct, frozen=True):
    """How a program in a container ended. Texts are cut at 64 KiB each, `cut` tells by how many bytes in all. Where the
    engine keeps both streams apart `stderr` has its own."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    cut: int = 0
    took: float = 0.0


class Engine(msgspec.Struct, frozen=True):
    """One engine as a whole. `address` holds no secret; `verbs` are those its owner allows; `fault` is why it did not
    answer, and then what only it knows is empty. `stream` is `up` or `down` where its events are watched, since
    `stream_since` (unix seconds), and `stream_fault` why it is down."""

    ref: EngineRef
    address: str
    verbs: tuple[str, ...]
    fault: str = ""
    version: str = ""
    api: str = ""
    system: str = ""
    """Operating system and architecture, such as `linux/x86_64`."""
    storage: str = ""
    cgroup: str = ""
    containers: int | None = None
    running: int | None = None
    runtime: str = ""
    """What runs the containers, such as `runc 1.1.5` or `crun`."""
    events: str = ""
    """How its events come: `ring of 256`, `file`, `journald`, `none`, `broadcast`, `polled`."""
    user: str = ""
    """Whose engine it is where it is not the machine's: `alice (1001)`."""
    owned: tuple[tuple[str, int], ...] = ()
    """Containers it holds that belong to another engine here, which tells of them: its kind and how many."""
    notes: tuple[str, ...] = ()
    """What is not a fault but should be known, a sentence each."""
    stream: str = ""
    stream_since: float = 0.0
    stream_fault: str = ""
