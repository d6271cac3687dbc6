"""Pods of a CRI engine: what it calls sandboxes, with the containers in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from core import errors
from core.model import pods
from core.model.refs import Ref
from core.model.results import Document, Outcome
from runtimes.base.adapter import does
from runtimes.cri import client, decode
from runtimes.cri.client import EngineClient, done
from runtimes.proto import cri_pb2 as cri

ASKED_AT_ONCE = 8


class PodVerbs(EngineClient):
    """`_addresses`: by pod, as long as it is ready: a pod keeps its address."""

    _addresses: Mapping[str, str] = {}

    @does(pods.ListPods)
    async def list_pods(self, action: pods.ListPods, seconds: float) -> pods.Pods:
        ends = time.monotonic() + seconds
        view = await self._look(seconds)
        ready = [thing for thing, pod in view.pods.items() if pod.state == decode.READY]
        addresses = await self._addressed(ready, ends)
        names, members = decode.pods_called(view.pods.values()), view.members()
        rows = [
            decode.pod_row(self.ref, pod, names[thing], members.get(thing, ()), addresses.get(thing, ""))
            for thing, pod in view.pods.items()
        ]
        return pods.Pods(rows=tuple(rows))

    @does(pods.InspectPod)
    async def inspect_pod(self, action: pods.InspectPod, seconds: float) -> Document:
        told = await self._pod(action.target, seconds, verbose=True)
        return Document(ref=action.target, data=decode.document(told.status, told.info))

    @does(pods.StopPod)
    async def stop_pod(self, action: pods.StopPod, seconds: float) -> Outcome:
        began = time.monotonic()
        told = await self._pod(action.target, seconds)
        if told.status.state != decode.READY:
            return done(began, time.monotonic(), "was stopped already", noop=True)
        request = cri.StopPodSandboxRequest(pod_sandbox_id=action.target.id)
        left = seconds - (time.monotonic() - began)
        await self._ask("StopPodSandbox", request, cri.Nothing, left, about=action.target.name)
        return done(began, time.monotonic(), client.kept_up(told.status.labels))

    @does(pods.RemovePod)
    async def remove_pod(self, action: pods.RemovePod, seconds: float) -> Outcome:
        began = time.monotonic()
        # CRI itself removes whatever it is told to, running or not, and says nothing of what is not there.
        told = await self._pod(action.target, seconds)
        if told.status.state == decode.READY and not action.force:
            raise errors.Rejected(9, f"{action.target.name} is up: stop it first, or force its removal.")
        request = cri.RemovePodSandboxRequest(pod_sandbox_id=action.target.id)
        left = seconds - (time.monotonic() - began)
        if told.status.state == decode.READY:
            stop = cri.StopPodSandboxRequest(pod_sandbox_id=action.target.id)
            await self._ask("StopPodSandbox", stop, cri.Nothing, left, about=action.target.name)
            left = seconds - (time.monotonic() - began)
        await self._ask("RemovePodSandbox", request, cri.Nothing, left, about=action.target.name)
        return done(began, time.monotonic(), client.kept_up(told.status.labels))

    async def _pod(self, target: Ref, seconds: float, *, verbose: bool = False) -> cri.PodSandboxStatusResponse:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=target.id, verbose=verbose)
        told: cri.PodSandboxStatusResponse = await self._ask(
            "PodSandboxStatus", request, cri.PodSandboxStatusResponse, seconds, about=target.name
        )
        return told

    async def _addressed(self, ready: Sequence[str], ends: float) -> Mapping[str, str]:
        gate = asyncio.Semaphore(ASKED_AT_ONCE)

        async def one(pod: str) -> str:
            if pod in self._addresses:
                return self._addresses[pod]
            async with gate:
                request = cri.PodSandboxStatusRequest(pod_sandbox_id=pod)
                left = max(0.05, ends - time.monotonic())
                try:
                    told = await self._ask("PodSandboxStatus", request, cri.PodSandboxStatusResponse, left)
                except (errors.NotFound, errors.Rejected, errors.InvalidResponse):
                    return ""
                address: str = told.status.network.ip
                return address

        found = dict(zip(ready, await asyncio.gather(*map(one, ready)), strict=True))
        self._addresses = {pod: address for pod, address in found.items() if address}
        return found
