"""Serves the verb that restarts a Compose project, for the engines that run Docker Compose."""

from __future__ import annotations

import abc

from core.model.background_jobs import JobStarted
from core.model.project_actions import RestartProject
from runtimes.base.base_adapter import does
from runtimes.compose import project_restart
from runtimes.docker_like.containers import ContainerVerbs


class ProjectVerbs(ContainerVerbs, abc.ABC):
    """Serves `project.restart`."""

    @does(RestartProject)
    async def restart_project(self, action: RestartProject, seconds: float) -> JobStarted:
        return self.jobs.start(action.verb, lambda job: project_restart.restart_project(self, action, job))
