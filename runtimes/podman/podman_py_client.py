"""Wraps the client of the Python package `podman` (podman-py), with the few methods that Quarterdeck needs.

Importing this module loads the package, so import it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import podman.api
import podman.errors
from podman.domain.containers import Container

from core import errors
from runtimes.docker_like import requests_adapter
from runtimes.transport.thread_sockets import ThreadSockets

FAILURES = (
    *requests_adapter.FAILURES,
    podman.errors.PodmanError,
    podman.errors.DockerException,
    podman.errors.StreamParseError,
)
CHUNK = 1 << 20  # bytes


class PodmanPyClient:
    """A client of one service. `version`: of its API."""

    failures: tuple[type[Exception], ...] = FAILURES

    def __init__(self, sockets: ThreadSockets, version: str) -> None:
        # Not PodmanClient: its constructor reads the connections of `podman system connection`.
        self._client = podman.api.APIClient(base_url="http://engine", version=version)
        requests_adapter.connect_session(self._client, sockets)

    def close(self) -> None:
        self._client.close()

    def commit(
        self,
        container: str,
        *,
        repository: str | None,
        tag: str | None,
        message: str | None,
        author: str | None,
        changes: Sequence[str],
        pause: bool,
    ) -> str:
        # Not Container.commit: it asks for the image afterwards, and an error of that looks like one of the commit.
        response = self._client.post(
            "/commit",
            params={
                "container": container,
                "repo": repository,
                "tag": tag,
                "author": author,
                "changes": list(changes) or None,
                "comment": message,
                "format": "docker" if message else None,  # the only format with messages
                "pause": pause,
            },
        )
        response.raise_for_status()
        made = response.json()
        if not isinstance(made, dict) or not isinstance(made.get("Id"), str):
            raise errors.InvalidResponse(
                "The engine did not report the id of the new image, so it is not known whether the image was made.",
                hint="Look for the new image with: images",
            )
        return str(made["Id"])

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        """Yields the archive. The package reads all of it first, so the caller limits the bytes of the answer."""
        chunks, _ = self._container(container).get_archive(path, chunk_size=CHUNK)
        yield from chunks

    def export(self, container: str) -> Iterator[bytes]:
        yield from self._container(container).export(chunk_size=CHUNK)

    def _container(self, container: str) -> Container:
        return Container(attrs={"Id": container}, client=self._client)
