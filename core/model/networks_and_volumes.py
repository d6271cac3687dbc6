"""Defines networks, volumes and the namespaces of containerd, and the actions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk, TargetAction
from core.model.containers import protected
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Document, Outcome


class Network(msgspec.Struct, frozen=True, gc=False):
    """Describes one network. `scope` is `local`, `global` or `swarm`; `subnets` are in CIDR notation."""

    ref: Ref
    driver: str
    scope: str = "local"
    subnets: tuple[str, ...] = ()
    internal: bool = False
    labels: Mapping[str, str] = {}

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(labels=self.labels, protected=protected(self.labels), at=at)


class Networks(msgspec.Struct, frozen=True):
    rows: tuple[Network, ...]


class Volume(msgspec.Struct, frozen=True, gc=False):
    """One volume. `place`: its path on the host; `created_at`: unix seconds, 0 if unknown."""

    ref: Ref
    driver: str
    place: str = ""
    created_at: float = 0.0
    labels: Mapping[str, str] = {}

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(labels=self.labels, protected=protected(self.labels), at=at)


class Volumes(msgspec.Struct, frozen=True):
    rows: tuple[Volume, ...]


class Namespace(msgspec.Struct, frozen=True, gc=False):
    """One namespace of containerd. `owner`: the kind of engine that uses it; empty if none does."""

    name: str
    containers: int
    images: int
    labels: Mapping[str, str] = {}
    owner: str = ""
    kind: ClassVar[Kind] = Kind.NAMESPACE

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(labels=self.labels, at=at)


class Namespaces(msgspec.Struct, frozen=True):
    rows: tuple[Namespace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNetworks(Action[Networks]):
    verb = "network.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectNetwork(TargetAction[Document]):
    verb = "network.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNetwork(TargetAction[Outcome]):
    verb = "network.remove"
    risk = Risk.DESTROY


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork(Action[Outcome]):
    """Creates a network. `driver`: such as bridge, overlay or macvlan; `scope`: local, global or swarm, empty: as the
    driver has it. `subnet`, `ip_range` and `gateway` are as Docker takes them. `internal`: nothing outside is reached;
    `attachable`: single containers can join a network of a Swarm. The outcome's detail contains its id."""

    verb = "network.create"
    risk = Risk.CHANGE
    name: str
    driver: str = "bridge"
    scope: str = ""
    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    internal: bool = False
    attachable: bool = False
    labels: tuple[tuple[str, str], ...] = ()

    def targets(self) -> Sequence[Ref]:
        return (Ref(engine=self.engine, kind=Kind.NETWORK, id=f"new:{self.name}", name=self.name),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return ResourceFacts(labels=dict(self.labels), at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectNetwork(TargetAction[Outcome]):
    """Connects the container `target` to a network, where others find it by `aliases` too. Both must be allowed."""

    verb = "network.connect"
    risk = Risk.CHANGE
    network: Ref
    aliases: tuple[str, ...] = ()

    def targets(self) -> Sequence[Ref]:
        return (self.target, self.network)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectNetwork(TargetAction[Outcome]):
    """Disconnects the container `target` from a network. Both must be allowed."""

    verb = "network.disconnect"
    risk = Risk.CHANGE
    network: Ref

    def targets(self) -> Sequence[Ref]:
        return (self.target, self.network)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(Action[Outcome]):
    """Creates a local volume. It has no options, because these can make it a directory of the host."""

    verb = "volume.create"
    risk = Risk.CHANGE
    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def targets(self) -> Sequence[Ref]:
        return (Ref(engine=self.engine, kind=Kind.VOLUME, id=f"new:{self.name}", name=self.name),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return ResourceFacts(labels=dict(self.labels), at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVolumes(Action[Volumes]):
    verb = "volume.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectVolume(TargetAction[Document]):
    verb = "volume.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume(TargetAction[Outcome]):
    """Removes a volume with all its data."""

    verb = "volume.remove"
    risk = Risk.DESTROY


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNamespaces(Action[Namespaces]):
    verb = "namespace.list"
    listing = True
