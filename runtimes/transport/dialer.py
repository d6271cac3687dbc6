"""Chooses how to connect to an engine: directly (a unix socket or plain TCP), over TLS or over ssh.

The modules for TLS and ssh are imported only when they are used, because most engines are local.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from core import errors
from runtimes.transport import connect
from runtimes.transport.endpoint import Endpoint, Ssh, Tls


def make_dialer(endpoint: Endpoint, tls: Tls | None = None, ssh: Ssh | None = None) -> Dialer:
    """Returns the dialer for an address. `tls` is used for tcp only, `ssh` for ssh only."""
    if endpoint.scheme == "ssh":
        from runtimes.transport.ssh import SshDialer  # noqa: PLC0415 (most engines are local)

        return SshDialer(endpoint, ssh or Ssh())
    if tls is not None and endpoint.scheme == "tcp":
        from runtimes.transport.tls_dialer import TlsDialer  # noqa: PLC0415 (most engines are local)

        return TlsDialer(endpoint, tls)
    return DirectDialer(endpoint)


class Dialer(Protocol):
    """Opens connections to one engine.

    `needs_ping`: a new connection may look open although the engine will refuse it, so a change is sent only after a
    ping was answered.
    """

    needs_ping: bool

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        """Connects an asyncio protocol. Has no deadline of its own. Raises Unreachable."""

    async def diagnose(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        """Returns a better error for a connection that was lost before the engine sent anything. `cause` is the
        system's error; `sent` is copied from `lost`."""

    async def aclose(self) -> None: ...


class DirectDialer:
    """Connects to a unix socket, or over TCP without encryption."""

    needs_ping = False

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        await connect.connect_protocol(self._endpoint, protocol)

    async def diagnose(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        return connect.lost_by_relay(self._endpoint, lost)

    async def aclose(self) -> None:
        return None
