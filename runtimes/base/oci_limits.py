"""Converts the limits that `container.update` sets into the `resources` of the OCI runtime specification."""

from __future__ import annotations

from typing import Any

from core import errors
from core.model.rename_and_update import UNLIMITED, UpdateContainer

CPU_PERIOD = 100_000  # microseconds
MOST_PROCESSES = 1 << 22  # of a 64-bit machine
UNTIL_IT_ENDS = "until it ends"


def compute_cpu_quota(action: UpdateContainer) -> int:
    """Returns the microseconds of processor time in each CPU_PERIOD; -1: no limit."""
    return UNLIMITED if action.cpus == UNLIMITED else round(action.cpus * CPU_PERIOD)


def pids_limit(action: UpdateContainer) -> int:
    """Returns the most processes. crun refuses -1, so the kernel's own limit stands for none."""
    return MOST_PROCESSES if action.pids == UNLIMITED else action.pids


def linux_resources(action: UpdateContainer) -> dict[str, Any]:
    """Returns only what the action sets."""
    resources: dict[str, Any] = {}
    if action.memory:
        # The kernel refuses more memory than memory and swap together.
        swap = {"swap": UNLIMITED} if action.memory == UNLIMITED else {}
        resources["memory"] = {"limit": action.memory, **swap}
    if action.cpus:
        resources["cpu"] = {"quota": compute_cpu_quota(action), "period": CPU_PERIOD}
    if action.pids:
        resources["pids"] = {"limit": pids_limit(action)}
    return resources


def refuse_restart_policy(action: UpdateContainer, why: str, cure: str) -> None:
    """Raises UserError if the action sets a restart policy, which this kind of engine does not have."""
    if action.restart:
        raise errors.UserError(f"{action.engine} cannot change a restart policy: {why}.", hint=cure)
