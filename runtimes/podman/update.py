"""Changes limits and the restart policy of Podman's containers, if this version of Podman can do that.

Podman can change limits since version 4.3. Version 4.3 changes only the running container; since version 4.4 the limits
also apply after a restart. Podman can change a restart policy since version 5.1.
"""

from __future__ import annotations

import abc
import time
import urllib.parse
from typing import Any

from core import errors
from core.model.rename_and_update import UpdateContainer
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base import oci_limits
from runtimes.base.base_adapter import does
from runtimes.docker_like.client import quoted_id
from runtimes.podman import client
from runtimes.podman.versions import parse_version

NO_LIMITS = "Boot the machine with cgroup v2, or run the container as root."
FIRST_LIMITS, FIRST_KEPT, FIRST_RESTART = (4, 3), (4, 4), (5, 1)


class UpdateVerbs(client.EngineClient, abc.ABC):
    """Serves the verb that changes limits for Podman."""

    @does(UpdateContainer)
    async def update_container(self, action: UpdateContainer, seconds: float) -> Outcome:
        began = time.monotonic()
        info = await self._engine_info(seconds)
        version = parse_version(self.version)
        limits = _limits(action)
        if limits:
            self._check_version("limits", version, FIRST_LIMITS, "Create the container again with the limits you want.")
        if limits and not info.has_cgroups:  # Podman 5 would store them, and the container could not start any more
            raise errors.UserError(
                f"{self.ref} cannot limit its containers, because it is a rootless Podman on cgroup v1.", hint=NO_LIMITS
            )
        query = ""
        if action.restart:
            name = action.target.name
            cure = f"Create it again with --restart, or let systemd restart it: unit install {name}"
            self._check_version("a restart policy", version, FIRST_RESTART, cure)
            policy, _, tries = action.restart.partition(":")
            query = "?" + urllib.parse.urlencode(
                {"restartPolicy": policy, **({"restartRetries": tries} if tries else {})}
            )
        path = f"/containers/{quoted_id(action.target)}/update{query}"
        await self._request("POST", path, seconds, name=action.target.name, body=limits)
        kept = "" if version >= FIRST_KEPT else oci_limits.UNTIL_IT_ENDS
        detail = "; ".join(filter(None, (action.description(), kept)))
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    def _check_version(self, what: str, version: tuple[int, ...], first: tuple[int, ...], cure: str) -> None:
        if version < first:
            needed = ".".join(map(str, first))
            raise errors.UserError(
                f"Podman {self.version} cannot change {what}: this needs {needed} or later.", hint=cure
            )


def _limits(action: UpdateContainer) -> dict[str, Any]:
    """Returns the limits as libpod takes them: the resources of the OCI runtime specification."""
    resources = oci_limits.linux_resources(action)
    if action.memory > 0:
        # As Podman's own command line does: as much swap as memory.
        resources["memory"]["swap"] = 2 * action.memory
    return resources
