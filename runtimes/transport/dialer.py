"""Chooses how to reach an engine: a local socket, plain TCP, TLS or ssh."""

from __future__ import annotations

import asyncio
from typing import Protocol

from core import errors
from runtimes.transport.connect import connect
from runtimes.transport.endpoint import Endpoint, Ssh, Tls


class Dialer(Protocol):
    """One way to an engine. `blind`: a connection can stand though nobody is at its end."""

    blind: bool

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        """Has no deadline of its own. Raises Unreachable."""

    async def explain(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        """A better sentence for a connection lost before the engine said a word; `sent` stays as it was."""

    async def aclose(self) -> None: ...


def dialer_for(endpoint: Endpoint, tls: Tls | None = None, ssh: Ssh | None = None) -> Dialer:
    """The line an address asks for. Raises BadUsage where what is given does not go with it."""
    if endpoint.scheme == "ssh":
        from runtimes.transport import ssh as transport_ssh  # noqa: PLC0415 (most engines are local)

        return transport_ssh.SshDialer(endpoint, ssh or Ssh())
    if tls is not None and endpoint.scheme == "tcp":
        from runtimes.transport import tls as transport_tls  # noqa: PLC0415 (most engines are local)

        return transport_tls.TlsDialer(endpoint, tls)
    return DirectDialer(endpoint)


class DirectDialer:
    """A unix socket, or tcp in the clear."""

    blind = False

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        await connect(self._endpoint, protocol)

    async def explain(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        return lost

    async def aclose(self) -> None:
        return None
