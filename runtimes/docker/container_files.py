"""Copies files out of Docker's containers and makes images of them, with the `docker` package."""

from __future__ import annotations

import abc

from runtimes.docker.client import EngineClient
from runtimes.docker_like import container_files as shared
from runtimes.docker_like.package_client import PackageClient
from runtimes.transport.thread_sockets import ThreadSockets


class ContainerFileVerbs(EngineClient, shared.ContainerFileVerbs, abc.ABC):
    """Serves the verbs of a container's files for Docker."""

    def _open_package(self, sockets: ThreadSockets) -> PackageClient:
        from runtimes.docker.docker_package import DockerPackage  # noqa: PLC0415 (it loads the whole package)

        return DockerPackage(sockets, self.api)
