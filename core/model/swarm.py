"""Defines the nodes, tasks, stacks and join tokens of a Swarm, and the actions on them. The actions that change its
services are in core.model.service_actions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk, TargetAction
from core.model.containers import SWARM_NODE_LABEL, Container
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Document, Outcome


class Node(msgspec.Struct, frozen=True, gc=False):
    """One node. `state` is `ready`, `down`, `unknown` or `disconnected`; `availability`: `active`, `pause` or `drain`;
    `role`: `manager` or `worker`; `leader`: whether it leads the managers. `message`: the engine's reason why it is not
    ready."""

    ref: Ref
    state: str
    availability: str
    role: str
    leader: bool = False
    address: str = ""
    version: str = ""
    system: str = ""
    labels: Mapping[str, str] = {}
    message: str = ""
    tasks: int | None = None
    """Number of running tasks."""

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(labels=self.labels, state=self.state, at=at)

    def contains(self, container: Container) -> bool:
        return container.labels.get(SWARM_NODE_LABEL) == self.ref.id


class Nodes(msgspec.Struct, frozen=True):
    rows: tuple[Node, ...]


class Task(msgspec.Struct, frozen=True, gc=False):
    """One task. `ref.name` is `service.slot`, or `service.node` for a global service; `state`: its current state,
    `desired`: the state it should have, both as the engine names them; `why`: its error or message. `at`: unix seconds
    of its last change of state. `container`: the id of its container, `exit_code`: its exit code, if known."""

    ref: Ref
    service: str
    service_id: str
    state: str
    desired: str
    at: float
    image: str = ""
    node: str = ""
    why: str = ""
    container: str = ""
    exit_code: int | None = None
    labels: Mapping[str, str] = {}
    project: str | None = None

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(
            labels=self.labels, image=self.image, state=self.state, project=self.project, service=self.service, at=at
        )


class Tasks(msgspec.Struct, frozen=True):
    rows: tuple[Task, ...]


class Stack(msgspec.Struct, frozen=True, gc=False):
    """Services that were deployed together and carry the same label. `networks`, `secrets` and `configs`: names of the
    others with that label."""

    name: str
    services: tuple[Ref, ...]
    labels: tuple[Mapping[str, str], ...]
    running: int
    desired: int
    networks: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    kind: ClassVar[Kind] = Kind.STACK

    def facts(self, at: datetime) -> tuple[ResourceFacts, ...]:
        """Returns one for each different set of labels of its services."""
        return tuple(ResourceFacts(labels=labels, project=self.name, at=at) for labels in self.labels or ({},))


class Stacks(msgspec.Struct, frozen=True):
    rows: tuple[Stack, ...]


class Token(msgspec.Struct, frozen=True):
    """How a machine joins the Swarm. It is a secret; only the requester sees it. `line`: the complete command; it is
    never logged."""

    role: str
    line: str

    def __repr__(self) -> str:
        return f"Token(role={self.role!r}, line=…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNodes(Action[Nodes]):
    verb = "node.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectNode(TargetAction[Document]):
    verb = "node.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainNode(TargetAction[Outcome]):
    """Moves all tasks of a node to other nodes; it receives no new ones."""

    verb = "node.drain"
    risk = Risk.CHANGE

    def confirm_reason(self) -> str:
        return f"moves every task of {self.target.name} elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateNode(TargetAction[Outcome]):
    """Lets a node receive tasks again."""

    verb = "node.activate"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTasks(Action[Tasks]):
    """`service`, `node`: only the tasks of the service or the node with this id; `ended`: also tasks that have
    ended."""

    verb = "task.list"
    listing = True
    service: str = ""
    node: str = ""
    ended: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStacks(Action[Stacks]):
    verb = "stack.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectService(TargetAction[Document]):
    """Values of environment variables are hidden."""

    verb = "service.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadServiceLogs(TargetAction[Any]):
    """Like ReadLogs, for all tasks of a service; each line begins with its task. `follow` lasts until the service is
    removed."""

    verb = "service.logs"
    tail: int = 100
    since_ns: int = 0
    follow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InitSwarm(Action[Outcome]):
    """Makes this engine the first manager of a new Swarm. `address`: the IP or interface that other nodes connect to;
    `listen`: the address to listen on."""

    verb = "swarm.init"
    risk = Risk.CHANGE
    address: str = ""
    listen: str = ""

    def timeout_seconds(self) -> float:
        return 30.0

    def confirm_reason(self) -> str:
        return "opens a port of this host, by which machines with a join token become part of its Swarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateJoinToken(Action[Outcome]):
    """Makes a new join token, so that the present one lets no machine join any more. Nodes of the Swarm stay. `role`:
    `worker` or `manager`."""

    verb = "swarm.rotate-token"
    risk = Risk.CHANGE
    role: str = "worker"

    def timeout_seconds(self) -> float:
        return 30.0

    def confirm_reason(self) -> str:
        return f"makes the present {self.role} token useless: machines that were given it cannot join any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJoinToken(Action[Token]):
    """Reads a join token. The risk is CHANGE, because a token can add a machine, which sees what the Swarm runs.
    `role`: `worker` or `manager`."""

    verb = "swarm.token"
    risk = Risk.CHANGE
    secret = True
    role: str = "worker"
