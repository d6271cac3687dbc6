"""Defines the request for a new container, and the action that creates it.

The request holds parsed values, so that what the policy decides on is what the engine gets. The engine's adapter turns
it into the body of a request. `docker run` is this action with `start`, as one change with one outcome: the image is
pulled if it is missing, the container is created, then started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.lazy_dataclass import dataclass
from core.model import host_access
from core.model.actions import Action, InspectContainer, Risk
from core.model.containers import Container
from core.model.host_access import HostAccess
from core.model.inside_containers import Exec
from core.model.pods import JoinPod
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts

UNNAMED = "a new container"
OWN_ONLY = HostAccess()
REQUEST_LABEL = "quarterdeck.request"
"""The label by which a container is found again if the engine's answer to its creation was lost."""
PULL_POLICIES = ("missing", "always", "never")
RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A container that is found by a name (`alias`), and whose environment variables are visible to the new one."""

    target: Ref
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer(Action[Any]):
    """Creates a container as a job, and starts it with `start`. The outcome's detail contains its id.

    `name`: empty: the engine chooses one. `entrypoint`: empty: the image's own. `ports`: as `docker run -p` takes them.
    `network`: the name of a network; empty: the engine's default; `none`: no network. `restart`: a restart policy, with
    `:N` after on-failure. `memory`: such as `512m`; `cpus`: processors; empty or 0: no limit. `health`: a command line
    for the image's shell. `remove`: the engine removes it when it ends. `pull`: when to pull the image. `access`:
    mounts, and all that reaches beyond the container. `timeout`: seconds of the pull."""

    verb = "container.create"
    risk = Risk.CHANGE
    image: str
    name: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    network: str = ""
    links: tuple[Link, ...] = ()
    restart: str = ""
    memory: str = ""
    cpus: float = 0.0
    user: str = ""
    workdir: str = ""
    health: str = ""
    remove: bool = False
    pull: str = "missing"
    access: HostAccess = OWN_ONLY
    start: bool = True
    timeout: int = 600

    def timeout_seconds(self) -> float:
        return self.timeout + 60.0

    def targets(self) -> Sequence[Ref]:
        name = self.name or UNNAMED
        return (Ref(engine=self.engine, kind=Kind.CONTAINER, id=f"new:{self.name or self.image}", name=name),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        labels = dict(self.labels)
        row = Container(
            ref=ref,
            image=self.image,
            image_id="",
            command="",
            state="created",
            status="",
            created_at=0.0,
            labels=labels,
        )
        # The image may bring more labels. It cannot change those of the request.
        return replace(row.facts(at), labels_known=False, protected=False)

    def needs(self) -> Sequence[Action[Any]]:
        (target,) = self.targets()
        facts = self.prospective_facts(target, datetime.min.replace(tzinfo=UTC))
        found: list[Action[Any]] = [*host_access.needs(self.engine, target, facts, host_access.reaches_of(self.access))]
        joined = host_access.joined_containers(self.access)
        found += [Exec(engine=self.engine, target=ref, command=("sh",)) for ref in joined]
        if self.access.pod is not None:
            found.append(JoinPod(engine=self.engine, target=self.access.pod))
        # A link shows the environment variables of the other container.
        found += [InspectContainer(engine=self.engine, target=link.target) for link in self.links]
        return found
