"""Changes the limits of running containers of containerd."""

from __future__ import annotations

import msgspec
from google.protobuf import any_pb2

from core.model.rename_and_update import UpdateContainer
from core.model.results import Outcome
from runtimes.base import oci_limits
from runtimes.base.base_adapter import does
from runtimes.containerd.lifecycle import LifecycleVerbs

RESOURCES = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"


class UpdateVerbs(LifecycleVerbs):
    """Serves the verb that changes limits for containerd, whose own record of a container stays as it is."""

    @does(UpdateContainer)
    async def update_container(self, action: UpdateContainer, seconds: float) -> Outcome:
        oci_limits.refuse_restart_policy(
            action,
            "in containerd, the client that created the container sets the policy",
            "On the engine's host, run: nerdctl update --restart POLICY NAME",
        )
        resources = any_pb2.Any(type_url=RESOURCES, value=msgspec.json.encode(oci_limits.linux_resources(action)))
        change = await self._change(action.target, seconds)
        return await change.update(resources, f"{action.description()}; {oci_limits.UNTIL_IT_ENDS}")
