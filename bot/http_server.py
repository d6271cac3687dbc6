"""Serves HTTP on one listening socket, within limits that no client can exceed.

A connection waits for a request, is being answered, or receives a response. If there are too many connections, in all
or from one address, one that is not being answered is closed in favour of the new one. It is the one that has waited
longest, of the address with the most connections. So a slow or silent client cannot block the others. The head of a
request, its body and the response are limited in size and time. Bodies are not decompressed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot import listening_socket
from core.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from aiohttp import web

SHARE_OF_DESCRIPTORS = 16  # one of so many open files may be a connection of a server; the others are for our own use
MIN_CONNECTIONS = 4
MAX_SENDING = 64 << 20  # bytes of the responses that clients have not read yet
LINGERING_SECONDS = 1.0  # for the rest of a request that is not read
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`connections`: in all; `per_peer`: from one address. In seconds: `idle` for the head of the first or the next
    request, `receive` for a body, `send` for a client to read a response. In bytes: `line` of the request line or of a
    header, `body` (0: bodies are not read). `headers`: their number."""

    connections: int = 64
    per_peer: int = 48
    idle: float = 75.0
    receive: float = 5.0
    send: float = 10.0
    line: int = 4096
    headers: int = 64
    body: int = 0

    def within(self, descriptors: int) -> ConnectionLimits:
        """The same limits, with fewer connections if the process may open only few files."""
        most = min(self.connections, max(MIN_CONNECTIONS, descriptors // SHARE_OF_DESCRIPTORS))
        return replace(self, connections=most, per_peer=min(self.per_peer, most))


Handle = Callable[["web.BaseRequest", bytes], Awaitable["web.Response"]]


class HttpServer:
    """Answers the requests on one socket with `handle`, which gets each request and its body. `refused` is called with
    the reason for each connection, request or response that is refused: `crowded`, `too_large` or `too_slow`.
    `body_limit`: how many bytes of the body of a request are read, if not as `limits` says."""

    def __init__(
        self,
        handle: Handle,
        limits: ConnectionLimits,
        refused: Callable[[str], None],
        body_limit: Callable[[web.BaseRequest], int] | None = None,
    ) -> None:
        self._handle = handle
        self._body_limit = body_limit or (lambda request: limits.body)
        self._limits = limits.within(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._refused = refused
        self._peers: dict[web.RequestHandler, str] = {}
        self._waiting: dict[web.RequestHandler, float] = {}  # those that may be closed, since when
        self._asking: set[web.RequestHandler] = set()  # those that sent a part of a request, until its response
        self._closing = False
        self._answered = asyncio.Event()  # when the server closes: no connection is asking any more
        self._sending = 0

    @property
    def connections(self) -> int:
        return len(self._peers)

    @property
    def asking(self) -> int:
        """How many connections wait for the response to a request that arrived, at least in part."""
        return len(self._asking)

    async def open(self, sock: socket.socket) -> None:
        """Starts to answer. The server closes the socket when it is closed."""
        from aiohttp import web  # noqa: PLC0415 (takes 100 ms; the socket is open by now)

        loop, connection_class, limits = asyncio.get_running_loop(), _connection_class(self), self._limits
        quiet = logging.getLogger("quarterdeck.http")
        quiet.setLevel(logging.CRITICAL)  # scrapes and invalid requests are not logged
        self._web = web.Server(self._answer)

        def connect() -> asyncio.Protocol:
            return connection_class(
                self._web,
                loop=loop,
                access_log=quiet,
                logger=quiet,
                keepalive_timeout=limits.idle,
                lingering_time=LINGERING_SECONDS,
                max_line_size=limits.line,
                max_field_size=limits.line,
                max_headers=limits.headers,
                auto_decompress=False,
            )

        # The backlog is also the number of connections that asyncio accepts before the first of them can be refused.
        backlog = min(listening_socket.BACKLOG, limits.connections)
        self._listening = await loop.create_server(connect, sock=sock, backlog=backlog)

    async def aclose(self, grace: float) -> None:
        """Accepts no new connections, and waits up to `grace` seconds for the requests that began to arrive."""
        self._closing = True
        self._listening.close()
        # aiohttp's `pre_shutdown` is not used. It stops the reading of every connection, even within a body, and keeps
        # idle ones open until the grace ends.
        for connection in set(self._peers) - self._asking:
            connection.force_close()
        if self._asking:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._answered.wait()
        await self._web.shutdown(LINGERING_SECONDS)
        await self._listening.wait_closed()

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────

    def admit(self, connection: web.RequestHandler, peer: str) -> bool:
        """Registers a new connection, and closes another one if there are too many. Returns False if all others are
        being answered, or if the server closes, so that the new one must be closed."""
        if self._closing:
            return False
        counts = Counter(self._peers.values())
        crowded = len(self._peers) >= self._limits.connections
        if crowded or counts[peer] >= self._limits.per_peer:
            self._refused("crowded")
            rivals = [one for one in self._waiting if crowded or self._peers[one] == peer]
            if not rivals:
                return False
            last = max(rivals, key=lambda one: (counts[self._peers[one]], -self._waiting[one]))
            self.forget(last)
            _abort(last)
        self._peers[connection] = peer
        self._wait(connection)
        return True

    def forget(self, connection: web.RequestHandler) -> None:
        self._peers.pop(connection, None)
        self._waiting.pop(connection, None)
        self._stops_asking(connection)

    def asks(self, connection: web.RequestHandler) -> None:
        """Notes that a part of a request arrived."""
        if connection in self._peers:
            self._asking.add(connection)

    def _stops_asking(self, connection: web.RequestHandler) -> None:
        self._asking.discard(connection)
        if self._closing and not self._asking:
            self._answered.set()

    def _wait(self, connection: web.RequestHandler) -> None:
        if connection in self._peers:
            self._waiting[connection] = asyncio.get_running_loop().time()

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        try:
            async with asyncio.timeout(self._limits.receive):
                body = await self._body(request)
        except _TooLargeError:
            response = self._refuse("too_large", 413, b"The body is too large.\n")
        except TimeoutError:
            response = self._refuse("too_slow", 408, b"The body did not arrive in time.\n")
        else:
            self._waiting.pop(connection, None)
            try:
                response = await self._handle(request, body)
            finally:
                self._wait(connection)
        if self._closing:
            response.force_close()
        response = await self._send(request, response)
        self._wait(connection)
        self._stops_asking(connection)
        return response

    async def _body(self, request: web.BaseRequest) -> bytes:
        limit = self._body_limit(request)
        if not limit:
            return b""
        if (request.content_length or 0) > limit:
            raise _TooLargeError
        parts: list[bytes] = []
        left = limit
        async for part in request.content.iter_any():
            left -= len(part)
            if left < 0:
                raise _TooLargeError
            parts.append(part)
        return b"".join(parts)

    async def _send(self, request: web.BaseRequest, response: web.Response) -> web.Response:
        """Sends the response. aiohttp would wait without limit for a client that does not read."""
        size = len(response.body) if isinstance(response.body, bytes) else 0
        if self._sending and self._sending + size > MAX_SENDING:
            response = self._refuse("crowded", 503, b"Other clients have not read their responses yet.\n")
            size = 0
        self._sending += size
        try:
            async with asyncio.timeout(self._limits.send):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            self._refused("too_slow")
            _abort(request.protocol)
        finally:
            self._sending -= size
        return response

    def _refuse(self, reason: str, status: int, body: bytes) -> web.Response:
        self._refused(reason)
        response = plain_response(status, body)
        response.force_close()
        return response


class _TooLargeError(Exception):
    pass


def plain_response(status: int, body: bytes, kind: str = TEXT) -> web.Response:
    """A response that names neither the HTTP library nor its version."""
    from aiohttp import web  # noqa: PLC0415

    headers = {"Content-Type": kind, "Server": "quarterdeck", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=status, body=body, headers=headers)


def peer_of(address: Any) -> str:
    """The client of a connection, as far as the limits are concerned: an IPv4 address, or the network (/64) that one
    IPv6 client usually has."""
    try:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except (LookupError, TypeError, ValueError):
        return str(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def _abort(connection: web.RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()


def _connection_class(server: HttpServer) -> type[web.RequestHandler]:
    from aiohttp import web  # noqa: PLC0415

    class Connection(web.RequestHandler):
        """aiohttp's connection, which the server may refuse. An invalid request gets a response without aiohttp's name
        and version."""

        __slots__ = ()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            if not server.admit(self, peer_of(transport.get_extra_info("peername"))):
                _abort(self)

        def data_received(self, data: bytes) -> None:
            server.asks(self)
            super().data_received(data)

        def connection_lost(self, exc: BaseException | None) -> None:
            server.forget(self)
            super().connection_lost(exc)

        def handle_error(
            self,
            request: web.BaseRequest,
            status: int = 500,
            exc: BaseException | None = None,
            message: str | None = None,
        ) -> web.StreamResponse:
            if request.writer.output_size > 0:
                raise ConnectionError("part of the response was sent already")
            response = plain_response(status, b"The request is invalid.\n")
            response.force_close()
            return response

    return Connection
