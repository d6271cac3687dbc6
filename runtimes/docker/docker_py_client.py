"""Wraps the client of the Python package `docker` (docker-py), with the few methods that Quarterdeck needs.

Importing this module loads the package, so import it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import docker
import docker.errors
import requests

from core import errors
from runtimes.docker_like import requests_adapter
from runtimes.transport.thread_sockets import ThreadSockets

FAILURES = (*requests_adapter.FAILURES, docker.errors.DockerException, docker.errors.StreamParseError)


class DockerPyClient:
    """A client of one daemon. `version`: of its API."""

    failures: tuple[type[Exception], ...] = FAILURES

    def __init__(self, sockets: ThreadSockets, version: str) -> None:
        self._client = _Client(version)
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
        made = self._client.commit(
            container,
            repository=repository,
            tag=tag,
            message=message,
            author=author,
            changes=list(changes) or None,
            pause=pause,
        )
        if not isinstance(made, dict) or not isinstance(made.get("Id"), str):
            raise errors.InvalidResponse(
                "The engine did not report the id of the new image, so it is not known whether the image was made.",
                hint="Look for the new image with: images",
            )
        return str(made["Id"])

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        chunks, _ = self._client.get_archive(container, path)
        yield from chunks

    def export(self, container: str) -> Iterator[bytes]:
        yield from self._client.export(container)


class _Client(docker.APIClient):  # type: ignore[misc]
    """The package's client without its constructor, which reads `~/.docker/config.json`: the headers and the mistakes
    of that file are nothing to these requests."""

    def __init__(self, version: str) -> None:
        requests.Session.__init__(self)
        self.base_url, self.timeout = "http://engine", None
        self._version = version
        self._general_configs: dict[str, Any] = {}
        self._custom_adapter = None
