"""Lists, inspects, changes and removes Podman's pods.

A change of a pod may fail for some of its containers only. Podman then sends the errors in a response with a successful
status, and `_check_change` raises them.
"""

from __future__ import annotations

import abc
import asyncio
import time

import msgspec

from core import action_progress
from core.model import pods
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base import stop_grace
from runtimes.base.base_adapter import does
from runtimes.docker_like.client import quoted_id
from runtimes.formats import json_decoder, json_field_types, timestamps
from runtimes.podman import create_body, inspect_summaries, killed_containers


class PodVerbs(killed_containers.KilledContainers, abc.ABC):
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
        data = redact_json.mask_env_values(json_decoder.decode_json_object(response.body))
        return Document(ref=target, data=data, summary=inspect_summaries.summarise_pod(data))

    @does(pods.CreatePod)
    async def create_pod(self, action: pods.CreatePod, seconds: float) -> Outcome:
        began = time.monotonic()
        body = await asyncio.to_thread(create_body.pod_body, action)
        response = await self._request("POST", "/pods/create", seconds, body=body)
        made = json_decoder.decode_json(_MadePod, response.body)
        return Outcome(status=Status.DONE, detail=made.id[:12], took=time.monotonic() - began)

    @does(pods.StartPod)
    async def start_pod(self, action: pods.StartPod, seconds: float) -> Outcome:
        return await self._change_pod(action.target, "start", seconds, already="was already running")

    @does(pods.StopPod)
    async def stop_pod(self, action: pods.StopPod, seconds: float) -> Outcome:
        query = "" if action.timeout is None else f"?t={action.timeout}"
        return await self._stop_pod(action.target, f"stop{query}", action.timeout, seconds, already="was not running")

    @does(pods.RestartPod)
    async def restart_pod(self, action: pods.RestartPod, seconds: float) -> Outcome:
        return await self._stop_pod(action.target, "restart", None, seconds)

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
        _, allowed = await self._stopping(action.target, None, seconds)
        return await self._change(action.target, path, allowed, method="DELETE", kind="pod")

    async def _stop_pod(
        self, target: Ref, path: str, given: int | None, seconds: float, *, already: str = ""
    ) -> Outcome:
        """Stops or restarts a pod, and reports which of its containers were killed. `given`: the requester's grace."""
        stopping, allowed = await self._stopping(target, given, seconds)
        began_ns = time.time_ns()
        outcome = await self._change_pod(target, path, allowed, already=already)
        if outcome.status != Status.DONE:
            return outcome
        killed = await self._killed(stopping, outcome.took, began_ns)
        return msgspec.structs.replace(outcome, detail=stop_grace.were_killed(killed), killed=killed)

    async def _stopping(
        self, target: Ref, given: int | None, seconds: float
    ) -> tuple[dict[str, killed_containers.StoppingContainer], float]:
        """Returns the running containers of a pod, and how long to wait for Podman to stop them, perhaps one after the
        other."""
        ends = time.monotonic() + seconds
        response = await self._request(
            "GET",
            f"/pods/{quoted_id(target)}/json",
            killed_containers.READ_SECONDS,
            name=target.name,
            kind="pod",
        )
        members = json_decoder.decode_json(_InspectedPod, response.body).members or ()
        running = await self._running([member.id for member in members], given)
        total = sum(one.grace for one in running.values())
        action_progress.begin("waiting for its containers to stop", total)
        return running, stop_grace.patience(total, max(0.05, ends - time.monotonic()))

    async def _change_pod(self, target: Ref, path: str, seconds: float, *, already: str = "") -> Outcome:
        return await self._change(target, f"/pods/{quoted_id(target)}/{path}", seconds, kind="pod", already=already)


class _Member(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")
    status: str = msgspec.field(name="Status", default="")


class _InspectedPod(msgspec.Struct):
    members: list[_Member] | None = msgspec.field(name="Containers", default=None)


class _MadePod(msgspec.Struct):
    id: str = msgspec.field(name="Id", default="")


class _Pod(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name", default="")
    status: str = msgspec.field(name="Status", default="")
    created: str = msgspec.field(name="Created", default="")
    infra: str = msgspec.field(name="InfraId", default="")
    members: list[_Member] | None = msgspec.field(name="Containers", default=None)
    labels: json_field_types.Labels = msgspec.field(name="Labels", default=None)
