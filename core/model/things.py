"""What exists on an engine, in the smallest common record; engine-specific detail goes through `inspect` as a
document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from core.model.refs import EngineRef, Facts, Ref

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTHS = ("starting", "healthy", "unhealthy")

# Labels by which engines' front ends group containers: docker compose, podman-compose and quadlet (same labels), swarm.
PROJECT_LABELS = ("com.docker.compose.project", "com.docker.stack.namespace", "io.podman.compose.project")
SERVICE_LABELS = ("com.docker.compose.service", "com.docker.swarm.service.name", "io.podman.compose.service")
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

    @property
    def project(self) -> str | None:
        return _first(self.labels, PROJECT_LABELS)

    @property
    def service(self) -> str | None:
        return _first(self.labels, SERVICE_LABELS)

    def facts(self, at: datetime) -> Facts:
        return Facts(
            labels=self.labels,
            image=self.image,
            state=self.state,
            project=self.project,
            service=self.service,
            protected=self.labels.get(PROTECTED_LABEL, "").lower() in ("1", "true", "yes"),
            at=at,
        )


def _first(labels: dict[str, str], keys: Sequence[str]) -> str | None:
    return next((labels[key] for key in keys if key in labels), None)


class Containers(msgspec.Struct, frozen=True):
    """A list of containers and how good it is: `source` is `engine` or `mirror`, `age` its seconds since confirmed."""

    rows: tuple[Container, ...]
    source: str = "engine"
    age: float = 0.0


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
    stream: str = ""
    stream_since: float = 0.0
    stream_fault: str = ""
