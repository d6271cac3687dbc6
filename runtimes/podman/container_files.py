"""Copies files out of Podman containers, exports containers, and commits them to images, with the Python package
`podman`.
"""

from __future__ import annotations

import abc

from runtimes.docker_like import container_files as shared
from runtimes.docker_like.package_client import PackageClient
from runtimes.podman.client import API, EngineClient
from runtimes.transport.thread_sockets import ThreadSockets

NO_PAUSE_FOR_COMMIT = (
    "A rootless Podman on cgroup v1 cannot pause: leave out --pause, or boot the machine with cgroup v2."
)


class ContainerFileVerbs(EngineClient, shared.ContainerFileVerbs, abc.ABC):
    """Serves the verbs of a container's files for Podman."""

    def _open_package(self, sockets: ThreadSockets) -> PackageClient:
        from runtimes.podman.podman_py_client import PodmanPyClient  # noqa: PLC0415 (it loads the whole package)

        return PodmanPyClient(sockets, API)

    async def _check_can_pause(self, verb: str, seconds: float) -> None:
        await self._check_pause(f"{verb} with --pause", seconds, NO_PAUSE_FOR_COMMIT)
