"""Defines the pods of Podman and of the kubelet, and the actions on them. The containers of a pod share a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk, TargetAction, stop_seconds
from core.model.containers import Container
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Document, Outcome


class Pod(msgspec.Struct, frozen=True, gc=False):
    """One pod. `state` is the engine's own state in lower case (`running`, `degraded`, `exited`, `created`, `ready`,
    `notready`); `members`: ids of its containers without the infra container; `namespace`: the Kubernetes namespace;
    `created_at`: unix seconds; `address`: its own IP, if it has one."""

    ref: Ref
    state: str
    created_at: float
    labels: Mapping[str, str]
    members: tuple[str, ...] = ()
    running: int = 0
    namespace: str = ""
    address: str = ""

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(labels=self.labels, state=self.state, project=self.namespace or None, at=at)

    @property
    def full_names(self) -> tuple[str, ...]:
        """Every full name that selects it: its name; in Kubernetes the name in its namespace, then `namespace/name`."""
        if not self.namespace:
            return (self.ref.name,)
        name = self.ref.name.removeprefix(f"{self.namespace}/")
        return (name, f"{self.namespace}/{name}")

    def contains(self, container: Container) -> bool:
        return container.ref.engine == self.ref.engine and container.ref.id in self.members


class Pods(msgspec.Struct, frozen=True):
    rows: tuple[Pod, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPods(Action[Pods]):
    verb = "pod.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectPod(TargetAction[Document]):
    verb = "pod.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePod(Action[Outcome]):
    """Creates a pod without containers. `ports`: as `docker run -p` takes them; `network`: the name of a network;
    empty: the engine's default; `none`: no network. `infra`: with a container that keeps what the others share."""

    verb = "pod.create"
    risk = Risk.CHANGE
    name: str
    ports: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    network: str = ""
    infra: bool = True

    def timeout_seconds(self) -> float:
        return 60.0

    def targets(self) -> Sequence[Ref]:
        return (Ref(engine=self.engine, kind=Kind.POD, id=f"new:{self.name}", name=self.name),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return ResourceFacts(labels=dict(self.labels), state="created", at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPod(TargetAction[Outcome]):
    """Puts a new container into a pod, whose network, shared memory and host name it then shares. It is decided beside
    the creation, and never runs by itself."""

    verb = "pod.join"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPod(TargetAction[Outcome]):
    verb = "pod.start"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPod(TargetAction[Outcome]):
    """`timeout`: seconds between the stop signal and the kill; None: each container's own setting."""

    verb = "pod.stop"
    risk = Risk.CHANGE
    timeout: int | None = None

    def timeout_seconds(self) -> float:
        return stop_seconds(self.timeout) + 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPod(TargetAction[Outcome]):
    verb = "pod.restart"
    risk = Risk.CHANGE

    def timeout_seconds(self) -> float:
        return stop_seconds(None) + 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PausePod(TargetAction[Outcome]):
    verb = "pod.pause"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpausePod(TargetAction[Outcome]):
    verb = "pod.unpause"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePod(TargetAction[Outcome]):
    """Removes a pod with all its containers. `force`: even if they run."""

    verb = "pod.remove"
    risk = Risk.DESTROY
    force: bool = False

    def timeout_seconds(self) -> float:
        return stop_seconds(None) + 20.0
