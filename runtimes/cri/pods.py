"""Lists, inspects, stops and removes the pods of a CRI engine. CRI calls them pod sandboxes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from core import errors
from core.model import pods
from core.model.refs import Ref
from core.model.results import Document, Outcome
from runtimes.base import stop_grace
from runtimes.base.base_adapter import does
from runtimes.base.concurrent_map import map_concurrently
from runtimes.base.multi_request_change import MultiRequestChange
from runtimes.cri import client, decode, decode_info, inspect_summaries
from runtimes.cri.lifecycle import LifecycleVerbs
from runtimes.cri.snapshot import Snapshot
from runtimes.proto import cri_pb2 as cri

REMOVE_SECONDS = 40.0


class PodVerbs(LifecycleVerbs):
    """Serves the pod verbs for CRI engines. `_addresses`: IP addresses by pod. They are cached while the pod is ready,
    because a ready pod does not change its address."""

    _addresses: Mapping[str, str] = {}

    @does(pods.ListPods)
    async def list_pods(self, action: pods.ListPods, seconds: float) -> pods.Pods:
        deadline = time.monotonic() + seconds
        snapshot = await self._snapshot(seconds)
        ready = [pod_id for pod_id, pod in snapshot.pods.items() if pod.state == decode.READY]
        addresses = await self._read_addresses(ready, deadline)
        names, members = decode.pod_names(snapshot.pods.values()), snapshot.members()
        rows = [
            decode.pod_row(self.ref, pod, names[pod_id], members.get(pod_id, ()), addresses.get(pod_id, ""))
            for pod_id, pod in snapshot.pods.items()
        ]
        return pods.Pods(rows=tuple(rows))

    @does(pods.InspectPod)
    async def inspect_pod(self, action: pods.InspectPod, seconds: float) -> Document:
        found = await self._pod_status(action.target, seconds, verbose=True)
        data = decode_info.make_masked_document(found.status, found.info)
        return Document(ref=action.target, data=data, summary=inspect_summaries.summarise_pod(data))

    @does(pods.StopPod)
    async def stop_pod(self, action: pods.StopPod, seconds: float) -> Outcome:
        steps = MultiRequestChange(min(seconds, stop_grace.ENGINE_SECONDS))
        status = (await steps.read(self._pod_status(action.target, steps.seconds_left))).status
        if status.state != decode.READY:
            return steps.noop("was already stopped")
        # The stop of a pod kills its containers at once. So, like the kubelet, this stops them first.
        snapshot = await steps.read(self._snapshot(steps.seconds_left))
        killed = await self._stop_members(snapshot, action, seconds, steps)
        steps.extend(stop_grace.ENGINE_SECONDS)
        await self._stop_sandbox(action.target, steps)
        note = client.recreation_note(status.labels)
        return steps.done("; ".join(filter(None, (stop_grace.were_killed(killed), note))), killed=tuple(killed))

    async def _stop_members(
        self, snapshot: Snapshot, action: pods.StopPod, seconds: float, steps: MultiRequestChange
    ) -> Sequence[str]:
        """Stops the containers of a pod side by side. Returns which of them were killed. Raises the first error after
        all have ended; `steps` then knows whether any container was stopped."""

        async def one(record: decode.ContainerRecord) -> str:
            target, own = snapshot.ref(record), MultiRequestChange(min(seconds, stop_grace.ENGINE_SECONDS))
            found = (await own.read(self._container_status(target, own.seconds_left))).status
            if found.state != decode.RUNNING:
                return ""
            detail = await self._stop_running(target, found, action.timeout, seconds, own)
            steps.changed = True
            return target.name if detail else ""

        members = snapshot.members().get(action.target.id, ())
        results = await asyncio.gather(*map(one, members), return_exceptions=True)
        failed = [error for error in results if isinstance(error, BaseException)]
        for error in failed:
            if not isinstance(error, errors.NotFound):  # a container that is gone does not have to be stopped
                await steps.read(_raise(error))
        return sorted(name for name in results if isinstance(name, str) and name)

    @does(pods.RemovePod)
    async def remove_pod(self, action: pods.RemovePod, seconds: float) -> Outcome:
        steps = MultiRequestChange(min(seconds, REMOVE_SECONDS))
        # CRI itself removes a pod whether it runs or not, and reports success if there is no such pod.
        status = (await steps.read(self._pod_status(action.target, steps.seconds_left))).status
        if status.state == decode.READY:
            if not action.force:
                raise errors.Rejected(
                    9, f"{action.target.name} is running: stop it first, or give: pod rm -f {action.target.name}"
                )
            await self._stop_sandbox(action.target, steps)
        request = cri.RemovePodSandboxRequest(pod_sandbox_id=action.target.id)
        await steps.change(
            self._request("RemovePodSandbox", request, cri.Nothing, steps.seconds_left, target=action.target)
        )
        return steps.done(client.recreation_note(status.labels))

    async def _stop_sandbox(self, target: Ref, steps: MultiRequestChange) -> None:
        request = cri.StopPodSandboxRequest(pod_sandbox_id=target.id)
        await steps.change(self._request("StopPodSandbox", request, cri.Nothing, steps.seconds_left, target=target))

    async def _pod_status(self, target: Ref, seconds: float, *, verbose: bool = False) -> cri.PodSandboxStatusResponse:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=target.id, verbose=verbose)
        found: cri.PodSandboxStatusResponse = await self._request(
            "PodSandboxStatus", request, cri.PodSandboxStatusResponse, seconds, target=target
        )
        return found

    async def _read_addresses(self, ready: Sequence[str], deadline: float) -> Mapping[str, str]:
        async def one(pod_id: str) -> str:
            if pod_id in self._addresses:
                return self._addresses[pod_id]
            request = cri.PodSandboxStatusRequest(pod_sandbox_id=pod_id)
            left = max(0.05, deadline - time.monotonic())
            try:
                found = await self._request("PodSandboxStatus", request, cri.PodSandboxStatusResponse, left)
            except (errors.NotFound, errors.Rejected, errors.InvalidResponse):
                return ""
            address: str = found.status.network.ip
            return address

        found = dict(zip(ready, await map_concurrently(one, ready), strict=True))
        self._addresses = {pod_id: address for pod_id, address in found.items() if address}
        return found


async def _raise(error: BaseException) -> None:
    raise error
