"""Changes the limits of running containers of CRI engines."""

from __future__ import annotations

from core import errors
from core.model.rename_and_update import UpdateContainer
from core.model.results import Outcome
from runtimes.base import oci_limits
from runtimes.base.base_adapter import does
from runtimes.base.multi_request_change import MultiRequestChange
from runtimes.cri import decode
from runtimes.cri.lifecycle import LifecycleVerbs
from runtimes.proto import cri_pb2 as cri


class UpdateVerbs(LifecycleVerbs):
    """Serves the verb that changes limits for CRI."""

    @does(UpdateContainer)
    async def update_container(self, action: UpdateContainer, seconds: float) -> Outcome:
        oci_limits.refuse_restart_policy(action, "the kubelet restarts containers", "Change it in Kubernetes.")
        if action.pids:
            raise errors.UserError(
                f"{action.engine} cannot change the limit of processes: CRI has no such request.",
                hint="Leave --pids-limit out. The kubelet's setting `podPidsLimit` limits the processes of each pod.",
            )
        steps, target = MultiRequestChange(seconds), action.target
        status = (await steps.read(self._container_status(target, steps.seconds_left))).status
        if status.state != decode.RUNNING:
            raise errors.Rejected(9, f"{target.name} is not running: its limits can only be changed while it runs.")
        resources = cri.ContainerLimits(memory_limit_in_bytes=action.memory)
        if action.cpus:
            resources.cpu_period, resources.cpu_quota = oci_limits.CPU_PERIOD, oci_limits.compute_cpu_quota(action)
        request = cri.UpdateContainerResourcesRequest(container_id=target.id, linux=resources)
        await steps.change(
            self._request("UpdateContainerResources", request, cri.Nothing, steps.seconds_left, target=target)
        )
        kubelet = "the kubelet may set them back" if decode.POD_UID in status.labels else ""
        return steps.done("; ".join(filter(None, (action.description(), oci_limits.UNTIL_IT_ENDS, kubelet))))
