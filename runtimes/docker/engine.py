"""Serves all verbs of one Docker daemon.

The class is composed of one module for each subject: requests (`client`), events, logs, images, networks and volumes
(`networks_and_volumes`), Compose services (`compose_services`), the Swarm that the daemon manages (`swarm_access`),
statistics, disk use (`disk_use`), and the daemon itself (`info`). `docker_like` contains what Podman does in the same
way. The values of environment variables are hidden in every inspection.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

from core.model import actions
from core.model.containers import Containers
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.compose.project_restart_verb import ProjectVerbs
from runtimes.docker.container_files import ContainerFileVerbs
from runtimes.docker.create import CreateVerbs
from runtimes.docker.disk_use import DiskUseVerbs
from runtimes.docker.events import EventVerbs
from runtimes.docker.info import InfoVerbs
from runtimes.docker.logs import LogVerbs
from runtimes.docker.networks_and_volumes import NetworkVolumeVerbs
from runtimes.docker.original_image_names import OriginalImageNames
from runtimes.docker.removal_blockers import RemovalBlockerVerbs
from runtimes.docker.service_verbs import ComposeServiceVerbs
from runtimes.docker.stats import StatsVerbs
from runtimes.docker.unused_resources import UnusedVerbs
from runtimes.docker.update import UpdateVerbs
from runtimes.docker_like.client import MIN_SECONDS, quoted_id
from runtimes.docker_like.containers import ContainerVerbs
from runtimes.docker_like.exec import ExecVerbs
from runtimes.docker_like.top_and_diff import TopDiffVerbs
from runtimes.registry.remote_image_verbs import RemoteImageVerbs

_COMPOSE = "Change a Compose service in its Compose file. A Swarm's services belong to the engine of that Swarm."
_SWARM = "The Swarm of a manager is a separate engine. List the engines with: engines. Create a Swarm with: swarm init."


class Docker(
    InfoVerbs,
    EventVerbs,
    LogVerbs,
    CreateVerbs,
    ContainerFileVerbs,
    NetworkVolumeVerbs,
    RemovalBlockerVerbs,
    DiskUseVerbs,
    UnusedVerbs,
    StatsVerbs,
    ComposeServiceVerbs,
    ProjectVerbs,
    UpdateVerbs,
    ContainerVerbs,
    TopDiffVerbs,
    ExecVerbs,
    RemoteImageVerbs,
):
    """Serves all verbs of one daemon. `engine_id` is the daemon's own id; its event cursor is stored under it."""

    alternatives: ClassVar[Mapping[str, str]] = {
        "container.healthcheck": "Docker itself runs health checks. To see their last results: inspect NAME.",
        "pod.*": "Docker has no pods. To see which containers belong together: services.",
        "namespace.*": "Docker has no namespaces of its own.",
        **dict.fromkeys(("config.*", "node.*", "secret.*", "stack.*", "swarm.*", "task.*"), _SWARM),
        "service.inspect": "To see the containers of a Compose service: inspect NAME. A Swarm service belongs to the"
        " engine of its Swarm.",
        "service.logs": "To see the logs of a Compose service: logs NAME. A Swarm service belongs to the engine of"
        " its Swarm.",
        **dict.fromkeys(("service.create", "service.update", "service.rollback", "service.remove"), _COMPOSE),
        "unit.*": "Only Podman has systemd units of containers. Docker restarts containers by their restart policy.",
    }

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._images = OriginalImageNames(self.describe)

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        ends = time.monotonic() + seconds
        response = await self._request("GET", "/containers/json?all=1", seconds)
        rows = await self._decoder.all_containers(response.body)
        return Containers(rows=await self._images.with_names(rows, max(MIN_SECONDS, ends - time.monotonic())))

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        path = f"/containers/{quoted_id(action.target)}?force={int(action.force)}&v={int(action.volumes)}"
        return await self._change(action.target, path, seconds, method="DELETE")
