"""The networks and volumes of the engine in memory."""

from __future__ import annotations

from typing import Any

from core import errors
from core.model import networks_and_volumes as parts
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from runtimes.base.base_adapter import does
from tests.fake_engine.users import Users


class NetworksAndVolumes(Users):
    """`networks` and `volumes` by id, as somebody put them there."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.networks: dict[str, parts.Network] = {}
        self.volumes: dict[str, parts.Volume] = {}
        self.joined: set[tuple[str, str]] = set()

    def add_network(self, name: str, **more: Any) -> Ref:
        self._made += 1
        ref = Ref(engine=self.ref, kind=Kind.NETWORK, id=f"{self._made:064x}", name=name)
        told = {"driver": "bridge", "subnets": ("10.9.0.0/16",), **more}
        self.networks[ref.id] = parts.Network(ref=ref, **told)
        return ref

    def add_volume(self, name: str, **more: Any) -> Ref:
        ref = Ref(engine=self.ref, kind=Kind.VOLUME, id=name, name=name)
        told = {"driver": "local", "place": f"/volumes/{name}", "created_at": self._now(), **more}
        self.volumes[ref.id] = parts.Volume(ref=ref, **told)
        return ref

    @does(parts.ListNetworks)
    async def list_networks(self, action: parts.ListNetworks, seconds: float) -> parts.Networks:
        await self._answer("networks", seconds)
        return parts.Networks(rows=tuple(self.networks.values()))

    @does(parts.InspectNetwork)
    async def inspect_network(self, action: parts.InspectNetwork, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = _known(self.networks, action.target)
        return Document(
            ref=row.ref,
            data={"Name": row.ref.name, "Driver": row.driver, "Labels": dict(row.labels)},
            summary={"Driver": row.driver, "Subnets": ", ".join(row.subnets)},
        )

    @does(parts.CreateNetwork)
    async def create_network(self, action: parts.CreateNetwork, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        subnets = (action.subnet,) if action.subnet else ()
        ref = self.add_network(action.name, driver=action.driver, subnets=subnets, labels=dict(action.labels))
        return Outcome(status=Status.DONE, detail=ref.id[:12])

    @does(parts.RemoveNetwork)
    async def remove_network(self, action: parts.RemoveNetwork, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        self._refuse_used(action.target)
        del self.networks[_known(self.networks, action.target).ref.id]
        return Outcome(status=Status.DONE)

    @does(parts.ConnectNetwork)
    async def connect_network(self, action: parts.ConnectNetwork, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        self.joined.add((action.target.name, _known(self.networks, action.network).ref.name))
        return Outcome(status=Status.DONE)

    @does(parts.DisconnectNetwork)
    async def disconnect_network(self, action: parts.DisconnectNetwork, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        self.joined.discard((action.target.name, _known(self.networks, action.network).ref.name))
        return Outcome(status=Status.DONE)

    @does(parts.CreateVolume)
    async def create_volume(self, action: parts.CreateVolume, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        if action.name in self.volumes:
            return Outcome(status=Status.NOOP, detail="exists already")
        self.add_volume(action.name, labels=dict(action.labels))
        return Outcome(status=Status.DONE, detail=action.name)

    @does(parts.RemoveVolume)
    async def remove_volume(self, action: parts.RemoveVolume, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        self._refuse_used(action.target)
        del self.volumes[_known(self.volumes, action.target).ref.id]
        return Outcome(status=Status.DONE)

    @does(parts.ListVolumes)
    async def list_volumes(self, action: parts.ListVolumes, seconds: float) -> parts.Volumes:
        await self._answer("volumes", seconds)
        return parts.Volumes(rows=tuple(self.volumes.values()))

    @does(parts.InspectVolume)
    async def inspect_volume(self, action: parts.InspectVolume, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = _known(self.volumes, action.target)
        return Document(
            ref=row.ref,
            data={"Name": row.ref.name, "Mountpoint": row.place},
            summary={"Driver": row.driver, "Path": row.place},
        )

    @does(parts.ListNamespaces)
    async def list_namespaces(self, action: parts.ListNamespaces, seconds: float) -> parts.Namespaces:
        await self._answer("namespaces", seconds)
        row = parts.Namespace(name="k8s.io", containers=len(self.containers), images=len(self.tags), owner="cri")
        return parts.Namespaces(rows=(row,))


def _known(rows: dict[str, Any], target: Ref) -> Any:
    if target.id not in rows:
        raise errors.NotFound(
            f"{target.engine} has no {target.kind} {target.name}.",
            hint=f"List all {target.kind}s with: {target.kind} ls",
        )
    return rows[target.id]
