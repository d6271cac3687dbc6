"""Lists, inspects, changes and removes Podman's pods.

A change of a pod may fail for some of its containers only. Podman then sends the errors in a response with a successful
status, and `_check_change` raises them.
"""

from __future__ import annotations

import abc

import msgspec

from core.model import pods
from core.model.refs import Ref
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.docker_like.client import quoted_id
from runtimes.formats import json_decoder, json_types, timestamps
from runtimes.podman import client


class PodVerbs(client.EngineClient, abc.ABC):
    """Serves the pod verbs for Podman."""

    @does(pods.ListPods)
    async def list_pods(self, action: pods.ListPods, seconds: float) -> pods.Pods:
        response = await self._request("GET", "/pods/json", seconds)
        rows = await json_decoder.decode_all_rows(_Pod, response.body, self.skipped)
        return pods.Pods(rows=tuple(map(self._pod, rows)))

    def _pod(self, row: _Pod) -> pods.Pod:
        members = [one for one in row.members or () if one.id != row.infra]
        return pods.Pod(
            ref=self._decoder.ref("pod", row.id, row.name),
            state=row.status.lower(),
            created_at=timestamps.parse_seconds(row.created, self.skipped) or 0.0,
            labels=row.labels or {},
            members=tuple(one.id for one in members),
            running=sum(one.status == "running" for one in members),
        )

    @does(pods.InspectPod)
    async def inspect_pod(self, action: pods.InspectPod, seconds: float) -> Document:
        target = action.target
        response = await self._request("GET", f"/pods/{quoted_id(target)}/json", seconds, name=target.name, kind="pod")
        return Document(ref=target, data=redact_json.mask_env_values(json_decoder.decode_json_object(response.body)))

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
        await self._check_pause(action.verb, seconds)
        return await self._change_pod(action.target, "pause", seconds)

    @does(pods.UnpausePod)
    async def unpause_pod(self, action: pods.UnpausePod, seconds: float) -> Outcome:
        return await self._change_pod(action.target, "unpause", seconds)

    @does(pods.RemovePod)
    async def remove_pod(self, action: pods.RemovePod, seconds: float) -> Outcome:
        path = f"/pods/{quoted_id(action.target)}?force={str(action.force).lower()}"
        return await self._change(action.target, path, seconds, method="DELETE", kind="pod")

    async def _change_pod(self, target: Ref, path: str, seconds: float, *, already: str = "") -> Outcome:
        return await self._change(target, f"/pods/{quoted_id(target)}/{path}", seconds, kind="pod", already=already)


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
    labels: json_types.Labels = msgspec.field(name="Labels", default=None)
