"""What Podman's containers are grouped in and made of: pods, networks, volumes.

A change of several containers at once may succeed in part: Podman then says so inside of an answer that looks like
success, and that is a refusal here.
"""

from __future__ import annotations

import abc
import time
from typing import Any

import msgspec

from core import errors
from core.model import pods, resources
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.podman import client, decode, models
from runtimes.podman.client import quoted


class _Member(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    status: str = msgspec.field(name="Status", default="")


class _Pod(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name", default="")
    status: str = msgspec.field(name="Status", default="")
    created: str = msgspec.field(name="Created", default="")
    infra: str = msgspec.field(name="InfraId", default="")
    members: list[_Member] | None = msgspec.field(name="Containers", default=None)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Subnet(msgspec.Struct):
    subnet: str = ""


class _Network(msgspec.Struct):
    name: str = ""
    id: str = ""
    driver: str = ""
    internal: bool = False
    subnets: list[_Subnet] | None = None
    labels: dict[str, str] | None = None


class _Volume(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    driver: str = msgspec.field(name="Driver", default="")
    place: str = msgspec.field(name="Mountpoint", default="")
    created: str = msgspec.field(name="CreatedAt", default="")
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class ResourceVerbs(client.EngineClient, abc.ABC):
    # ── pods ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @does(pods.ListPods)
    async def list_pods(self, action: pods.ListPods, seconds: float) -> pods.Pods:
        answer = await self._ask("GET", "/pods/json", seconds)
        return pods.Pods(rows=tuple(map(self._pod, decode.decode(list[_Pod], answer.body))))

    def _pod(self, row: _Pod) -> pods.Pod:
        members = [one for one in row.members or () if one.id != row.infra]
        return pods.Pod(
            ref=self._dialect.ref("pod", row.id, row.name),
            state=row.status.lower(),
            created_at=decode.seconds(row.created) or 0.0,
            labels=row.labels or {},
            members=tuple(one.id for one in members),
            running=sum(one.status == "running" for one in members),
        )

    @does(pods.InspectPod)
    async def inspect_pod(self, action: pods.InspectPod, seconds: float) -> Document:
        return await self._inspected("pods", action.target, seconds)

    @does(pods.StartPod)
    async def start_pod(self, action: pods.StartPod, seconds: float) -> Outcome:
        return await self._change_pod(action.target, "start", seconds, already="was already running")

    @does(pods.StopPod)
    async def stop_pod(self, action: pods.StopPod, seconds: float) -> Outcome:
        return await self._change_pod(action.target, f"stop?t={action.timeout}", seconds, already="was not running")

    @does(pods.RestartPod)
    async def restart_pod(self, action: pods.RestartPod, seconds: float) -> Outcome:
        return await self._change_pod(action.target, "restart", seconds)

    @does(pods.PausePod)
    async def pause_pod(self, action: pods.PausePod, seconds: float) -> Outcome:
        await self._refuse_pause(action.verb, seconds)
        return await self._change_pod(action.target, "pause", seconds)

    @does(pods.UnpausePod)
    async def unpause_pod(self, action: pods.UnpausePod, seconds: float) -> Outcome:
        return await self._change_pod(action.target, "unpause", seconds)

    @does(pods.RemovePod)
    async def remove_pod(self, action: pods.RemovePod, seconds: float) -> Outcome:
        path = f"/pods/{quoted(action.target)}?force={str(action.force).lower()}"
        return await self._do("DELETE", path, action.target, "pod", seconds)

    async def _change_pod(self, target: Ref, path: str, seconds: float, *, already: str = "") -> Outcome:
        return await self._do("POST", f"/pods/{quoted(target)}/{path}", target, "pod", seconds, already=already)

    # ── networks and volumes ─────────────────────────────────────────────────────────────────────────────────────

    @does(resources.ListNetworks)
    async def list_networks(self, action: resources.ListNetworks, seconds: float) -> resources.Networks:
        answer = await self._ask("GET", "/networks/json", seconds)
        rows = decode.decode(list[_Network], answer.body)
        return resources.Networks(rows=tuple(map(self._network, rows)))

    def _network(self, row: _Network) -> resources.Network:
        return resources.Network(
            ref=self._dialect.ref("network", row.id or row.name, row.name),
            driver=row.driver,
            subnets=tuple(one.subnet for one in row.subnets or ()),
            internal=row.internal,
            labels=row.labels or {},
        )

    @does(resources.InspectNetwork)
    async def inspect_network(self, action: resources.InspectNetwork, seconds: float) -> Document:
        return await self._inspected("networks", action.target, seconds)

    @does(resources.RemoveNetwork)
    async def remove_network(self, action: resources.RemoveNetwork, seconds: float) -> Outcome:
        return await self._do("DELETE", f"/networks/{quoted(action.target)}", action.target, "network", seconds)

    @does(resources.ListVolumes)
    async def list_volumes(self, action: resources.ListVolumes, seconds: float) -> resources.Volumes:
        answer = await self._ask("GET", "/volumes/json", seconds)
        rows = decode.decode(list[_Volume], answer.body)
        return resources.Volumes(rows=tuple(map(self._volume, rows)))

    def _volume(self, row: _Volume) -> resources.Volume:
        return resources.Volume(
            ref=self._dialect.ref("volume", row.name, row.name),
            driver=row.driver,
            place=row.place,
            created_at=decode.seconds(row.created) or 0.0,
            labels=row.labels or {},
        )

    @does(resources.InspectVolume)
    async def inspect_volume(self, action: resources.InspectVolume, seconds: float) -> Document:
        return await self._inspected("volumes", action.target, seconds)

    @does(resources.RemoveVolume)
    async def remove_volume(self, action: resources.RemoveVolume, seconds: float) -> Outcome:
        return await self._do("DELETE", f"/volumes/{quoted(action.target)}", action.target, "volume", seconds)

    # ── alike for all ────────────────────────────────────────────────────────────────────────────────────────────

    async def _inspected(self, folder: str, target: Ref, seconds: float) -> Document:
        kind = folder.removesuffix("s")
        answer = await self._ask("GET", f"/{folder}/{quoted(target)}/json", seconds, about=target.name, kind=kind)
        data: dict[str, Any] = decode.document(answer.body)
        redact_json.mask_env_values(data)
        return Document(ref=target, data=data)

    async def _do(
        self, method: str, path: str, target: Ref, kind: Kind | str, seconds: float, *, already: str = ""
    ) -> Outcome:
        began = time.monotonic()
        answer = await self._ask(method, path, seconds, about=target.name, kind=str(kind))
        refuse_inner(answer.body)
        noop = answer.status == 304
        return Outcome(
            status=Status.NOOP if noop else Status.DONE,
            detail=already if noop else "",
            took=time.monotonic() - began,
        )


def refuse_inner(body: bytes) -> None:
    """Raises Rejected where an answer that is none by its status tells an error: `Err`, `Errs`, `Errors`."""
    if not body.strip():
        return
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    for one in told if isinstance(told, list) else [told]:
        if isinstance(one, dict) and (found := models.complaints(one)):
            raise errors.Rejected(500, "; ".join(found))
