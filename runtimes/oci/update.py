"""Changes the limits of running containers of runc and crun."""

from __future__ import annotations

import abc
import os
import time

import msgspec

from core import errors
from core.model.rename_and_update import UNLIMITED, UpdateContainer
from core.model.results import Outcome
from runtimes.base import oci_limits
from runtimes.base.base_adapter import does
from runtimes.oci.lifecycle import CONFLICT, LifecycleVerbs


class UpdateVerbs(LifecycleVerbs, abc.ABC):
    """Serves the verb that changes limits for OCI runtimes."""

    @does(UpdateContainer)
    async def update_container(self, action: UpdateContainer, seconds: float) -> Outcome:
        oci_limits.refuse_restart_policy(
            action, "an OCI runtime restarts nothing", "Set it on the engine that the container belongs to."
        )
        deadline = time.monotonic() + seconds
        container = await self._find(action.target, seconds)
        if not container.up:
            raise errors.Rejected(
                CONFLICT, f"{action.target.name} is not running: its limits can only be changed while it runs."
            )
        flags: list[str] = []
        if action.memory:
            flags += ["--memory", str(action.memory)]
        if action.cpus:
            flags += [
                "--cpu-period",
                str(oci_limits.CPU_PERIOD),
                "--cpu-quota",
                str(_cpu_quota(action, container.stored.program)),
            ]
        if action.pids:
            flags += ["--pids-limit", str(oci_limits.pids_limit(action))]
        outcome = await self._change(container, "update", deadline, flags=flags)
        return msgspec.structs.replace(outcome, detail=f"{action.description()}; {oci_limits.UNTIL_IT_ENDS}")


def _cpu_quota(action: UpdateContainer, program: str) -> int:
    """Returns the quota. crun takes -1 for a huge number, which the kernel refuses, so all processors stand for no
    limit."""
    if action.cpus == UNLIMITED and program == "crun":
        return (os.cpu_count() or 1) * oci_limits.CPU_PERIOD
    return oci_limits.compute_cpu_quota(action)
