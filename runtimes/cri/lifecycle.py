"""Starts, stops and removes containers of a CRI engine.

A CRI engine reports success when a container that does not exist is stopped or removed. So each change reads the
container's status first.
"""

from __future__ import annotations

import time

from core import errors
from core.model import actions
from core.model.refs import Ref
from core.model.results import Outcome
from runtimes.base import stop_grace
from runtimes.base.base_adapter import does
from runtimes.base.multi_request_change import MIN_SECONDS, MultiRequestChange
from runtimes.cri import client, decode
from runtimes.cri.client import CriEngineClient
from runtimes.proto import cri_pb2 as cri


class LifecycleVerbs(CriEngineClient):
    """Serves the verbs that start, stop and remove a container of a CRI engine."""

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        steps, target = MultiRequestChange(seconds), action.target
        status = (await steps.read(self._container_status(target, steps.seconds_left))).status
        if status.state == decode.RUNNING:
            return steps.noop("was already running")
        if status.state != decode.CREATED:
            raise errors.Rejected(
                9,
                f"{target.name} has ended, and CRI cannot start a container again. If the pod's restart policy allows"
                " it, the kubelet creates a new one. List it with: ps",
            )
        request = cri.StartContainerRequest(container_id=target.id)
        await steps.change(self._request("StartContainer", request, cri.Nothing, steps.seconds_left, target=target))
        return steps.done()

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        steps, target = MultiRequestChange(min(seconds, stop_grace.ENGINE_SECONDS)), action.target
        status = (await steps.read(self._container_status(target, steps.seconds_left))).status
        if status.state in (decode.CREATED, decode.EXITED):
            return steps.noop("was not running")
        killed = await self._stop_running(target, status, action.timeout, seconds, steps)
        detail = "; ".join(filter(None, (killed, client.recreation_note(status.labels))))
        return steps.done(detail, killed=(target.name,) if killed else ())

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        steps, target = MultiRequestChange(seconds), action.target
        status = (await steps.read(self._container_status(target, steps.seconds_left))).status
        if status.state not in (decode.CREATED, decode.EXITED) and not action.force:
            raise errors.Rejected(9, f"{target.name} is running: stop it first, or give: rm -f {target.name}")
        request = cri.RemoveContainerRequest(container_id=target.id)
        await steps.change(self._request("RemoveContainer", request, cri.Nothing, steps.seconds_left, target=target))
        return steps.done(client.recreation_note(status.labels))

    async def _stop_running(
        self, target: Ref, status: cri.ContainerStatus, given: int | None, seconds: float, steps: MultiRequestChange
    ) -> str:
        """Stops a running container. CRI requires a grace, and kills at once where it is 0. Returns that the container
        was killed, or an empty string. `seconds`: for the whole change."""
        own = stop_grace.parse_setting(status.annotations.get(stop_grace.KUBERNETES_ANNOTATION, ""))
        in_pod = decode.POD_UID in status.labels
        default = stop_grace.KUBERNETES_SECONDS if in_pod else stop_grace.DEFAULT_SECONDS
        grace = min(stop_grace.grace_seconds(given, own, default), float(actions.MAX_STOP_SECONDS))
        steps.extend(stop_grace.patience(grace, max(MIN_SECONDS, seconds - steps.seconds_taken)))
        request = cri.StopContainerRequest(container_id=target.id, timeout=int(grace))
        began = time.monotonic()
        stop_grace.report(grace)
        await steps.change(self._request("StopContainer", request, cri.Nothing, steps.seconds_left, target=target))
        if time.monotonic() - began < grace:
            return ""
        try:
            ended = (await self._container_status(target, stop_grace.ENGINE_SECONDS)).status
        except errors.QuarterdeckError:
            return ""
        return stop_grace.was_killed(grace) if ended.exit_code == stop_grace.SIGKILL_CODE else ""

    async def _container_status(
        self, target: Ref, seconds: float, *, verbose: bool = False
    ) -> cri.ContainerStatusResponse:
        request = cri.ContainerStatusRequest(container_id=target.id, verbose=verbose)
        found: cri.ContainerStatusResponse = await self._request(
            "ContainerStatus", request, cri.ContainerStatusResponse, seconds, target=target
        )
        return found
