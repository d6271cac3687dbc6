"""Serves all verbs of one Podman service, which belongs to root or to an ordinary user.

The class is composed of one module for each subject: requests (`client`), events, logs, images, pods, networks and
volumes (`networks_and_volumes`), systemd units (`units`), statistics, disk use (`disk_use`), and the service itself
(`info`). `docker_like` contains what Docker does in the same way. The values of environment variables are hidden in
every inspection.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from core import errors
from core.model import actions
from core.model.containers import Containers
from core.model.replies import Status
from core.model.results import Outcome
from core.model.services import Services
from runtimes.base.base_adapter import does
from runtimes.compose import services
from runtimes.compose.project_restart_verb import ProjectVerbs
from runtimes.docker_like.client import quoted_id
from runtimes.docker_like.containers import ContainerVerbs
from runtimes.docker_like.exec import ExecVerbs
from runtimes.docker_like.top_and_diff import TopDiffVerbs
from runtimes.formats import json_decoder
from runtimes.podman.container_files import ContainerFileVerbs
from runtimes.podman.create import CreateVerbs
from runtimes.podman.disk_use import DiskUseVerbs
from runtimes.podman.events import EventVerbs
from runtimes.podman.info import InfoVerbs
from runtimes.podman.logs import LogVerbs
from runtimes.podman.networks_and_volumes import NetworkVolumeVerbs
from runtimes.podman.pods import PodVerbs
from runtimes.podman.removal_blockers import RemovalBlockerVerbs
from runtimes.podman.removals import RemovalVerbs
from runtimes.podman.secrets import SecretVerbs
from runtimes.podman.stats import StatsVerbs
from runtimes.podman.unit_enabling import UnitEnableVerbs
from runtimes.podman.unused_resources import UnusedVerbs
from runtimes.podman.update import UpdateVerbs
from runtimes.registry.remote_image_verbs import RemoteImageVerbs

MAX_CHECK_OUTPUT = 400  # characters of a health check's output
NO_SWARM = "Podman has no Swarm. Use pods, systemd units, docker compose or podman-compose."


class Podman(
    InfoVerbs,
    EventVerbs,
    LogVerbs,
    CreateVerbs,
    ContainerFileVerbs,
    PodVerbs,
    NetworkVolumeVerbs,
    RemovalBlockerVerbs,
    RemovalVerbs,
    SecretVerbs,
    DiskUseVerbs,
    UnusedVerbs,
    StatsVerbs,
    ProjectVerbs,
    UnitEnableVerbs,
    UpdateVerbs,
    ContainerVerbs,
    TopDiffVerbs,
    ExecVerbs,
    RemoteImageVerbs,
):
    """Serves all verbs of one service. `name` distinguishes the engines of several users: a rootless engine is named
    by its uid."""

    alternatives: ClassVar[Mapping[str, str]] = {
        "service.scale": "Scale the service on the host with its Compose file: podman-compose up --scale, or docker"
        " compose up --scale.",
        "engine.prune-cache": "Podman's build cache consists of images without a tag. To remove them: image prune.",
        "namespace.*": "The containers of Podman are in one namespace. List them with: ps, or by pod: pods.",
        **dict.fromkeys(("config.*", "node.*", "service.*", "stack.*", "swarm.*", "task.*"), NO_SWARM),
    }

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        return Containers(rows=await self._containers(seconds))

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        return Services(rows=tuple(services.group_compose_services(self.ref, await self._containers(seconds))))

    def _stop_query(self, verb: str, given: int | None, grace: float) -> str:
        # Podman kills at once if the container's own time is not sent with a restart (4.3 to 6).
        return f"?timeout={grace:.0f}" if given is not None or verb == "restart" else ""

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        await self._check_pause(action.verb, seconds)
        return await super().pause(action, seconds)

    @does(actions.CheckHealth)
    async def check_health(self, action: actions.CheckHealth, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        try:
            path = f"/containers/{quoted_id(target)}/healthcheck"
            response = await self._request("GET", path, seconds, name=target.name)
        except errors.Rejected as error:
            if "no defined healthcheck" in error.text:
                raise errors.UserError(
                    f"{target.name} has no health check.", hint="Create the container again with --health-cmd."
                ) from error
            raise
        result = json_decoder.decode_json(_HealthCheck, response.body, self.skipped)
        output = result.log[-1].output.strip()[:MAX_CHECK_OUTPUT] if result.log else ""
        detail = result.status + (f": {output}" if output else "")
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)


class _CheckOutput(msgspec.Struct):
    output: str = msgspec.field(name="Output", default="")


class _HealthCheck(msgspec.Struct):
    """The result of a health check that Podman ran."""

    status: str = msgspec.field(name="Status", default="")
    log: list[_CheckOutput] | None = msgspec.field(name="Log", default=None)
