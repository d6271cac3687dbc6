"""Defines the methods that Quarterdeck needs of the Python packages `docker` and `podman`, and runs them in the threads
of the engine.

The engine's host and the version of its API are given, so that a package never searches for them. Each call has its own
client, which is closed when the call ends. The exceptions of a package become Quarterdeck's errors here.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from core import errors
from core.model.refs import Ref
from runtimes.base.client_threads import ClientThreads
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.docker_like.client import MAX_REFUSAL, MIN_SECONDS, HttpEngineClient, quoted_id
from runtimes.transport.endpoint import LOST_HINT
from runtimes.transport.thread_sockets import ThreadSockets

R = TypeVar("R")
MAX_REASON = 200  # characters of a package's own message
MAX_ANSWER = 1 << 20  # bytes of an answer that is no archive


class PackageClient(Protocol):
    """One package's client of one engine. `failures`: what its functions raise if an exchange fails."""

    failures: tuple[type[Exception], ...]

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
        """Makes an image of a container, and returns the image's id."""

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        """Yields a tar archive of a path in a container."""

    def export(self, container: str) -> Iterator[bytes]:
        """Yields a tar archive of the file system of a container."""

    def close(self) -> None: ...


class PackageCalls(HttpEngineClient, abc.ABC):
    """Runs functions with the package's client of this engine."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._threads = ClientThreads(self._dialer, self.address)

    async def aclose(self) -> None:
        await super().aclose()
        await self._threads.aclose()

    @abc.abstractmethod
    def _open_package(self, sockets: ThreadSockets) -> PackageClient:
        """Returns a client for one call. It is called in a thread, because it may load the package."""

    async def _with_package(
        self,
        use: Callable[[PackageClient], R],
        target: Ref,
        seconds: float,
        *,
        max_bytes: int = MAX_ANSWER,
        change: bool = False,
    ) -> R:
        """Returns what `use` returns; it runs in a thread. `target`: the container that it is about. `max_bytes`: of
        the engine's answers. Raises NotFound, Rejected and the other EngineErrors. A cancelled change raises
        CancelledError if it may have been sent, else EngineError."""
        ends = time.monotonic() + seconds
        call = self._threads.call(max_bytes=max_bytes, change=change)

        def work(sockets: ThreadSockets) -> R:
            with contextlib.closing(self._open_package(sockets)) as client:
                try:
                    return use(client)
                except client.failures as error:
                    raise self._package_error(error, target.name) from error

        try:
            await self._check_exists(target, seconds)
            return await call.run(work, max(MIN_SECONDS, ends - time.monotonic()))
        except asyncio.CancelledError:
            if not change or call.sent:
                raise
            raise errors.EngineError(
                f"The request about {target.name} was cancelled before it was sent to {self.ref}.",
                hint="Give the command again.",
            ) from None

    async def _check_exists(self, target: Ref, seconds: float) -> None:
        """Raises NotFound for a container that does not exist. This also finds out the version of the API, and whether
        the engine answers at all."""
        try:
            await self._request("GET", f"/containers/{quoted_id(target)}/json", seconds, name=target.name)
        except errors.EngineError as error:
            raise error.with_sent(False) from error

    def _package_error(self, error: Exception, name: str) -> errors.QuarterdeckError:
        response: Any = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int) and status >= 400:
            try:
                body = bytes(response.content)[:MAX_REFUSAL]
            except Exception:  # the connection was lost in the middle of the refusal
                body = b""
            return self._refusal(status, body, name, "container")
        reason = str(error)[:MAX_REASON] or type(error).__name__
        return errors.Unreachable(
            f"The connection to {self.ref} failed in the middle of an answer: {reason}.",
            sent=True,
            hint=LOST_HINT,
        )
