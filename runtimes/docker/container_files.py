"""Copies files out of Docker containers, exports containers, and commits them to images, with the Python package
`docker`.
"""

from __future__ import annotations

import abc

from runtimes.docker.client import EngineClient
from runtimes.docker_like import container_files as shared
from runtimes.docker_like.package_client import PackageClient
from runtimes.transport.thread_sockets import ThreadSockets


class ContainerFileVerbs(EngineClient, shared.ContainerFileVerbs, abc.ABC):
    """Serves the verbs of a container's files for Docker."""

    def _open_package(self, sockets: ThreadSockets) -> PackageClient:
        from runtimes.docker.docker_py_client import DockerPyClient  # noqa: PLC0415 (it loads the whole package)

        return DockerPyClient(sockets, self.api)
