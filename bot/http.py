"""Serves /metrics for Prometheus, /healthz and /readyz for probes, and an index page.

`bind` opens the socket at once, before large modules are imported: an early scrape waits in the backlog instead of
being refused. `serve` then answers. No page needs a password and no page changes anything. A client that sends slowly,
too much or nothing is disconnected. The number of connections is limited.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog

from core import errors

if TYPE_CHECKING:
    from aiohttp import web

    from core.config.load import ListenAddress

log = structlog.get_logger(__name__)
Page = Callable[[], bytes]
Ready = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]

BACKLOG = 128
MAX_CONNECTIONS = 64
IDLE_SECONDS = 75.0  # for a complete request, the first or the next; Prometheus scrapes every 15 to 60 seconds
SEND_TIMEOUT_SECONDS = 30.0  # for a client to read a response
MAX_LINE_BYTES = 4096  # of a request line or a header
MAX_HEADERS = 64
READY_TIMEOUT_SECONDS = 5.0  # for the parts to report their state
GRACE_SECONDS = 2.0  # for responses in progress when the server stops
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT, JSON, HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"
INDEX = (
    '<!doctype html><html lang="en"><title>Quarterdeck</title><h1>Quarterdeck</h1><ul>'
    '<li><a href="/metrics">/metrics</a> for Prometheus'
    '<li><a href="/healthz">/healthz</a> whether the process is alive'
    '<li><a href="/readyz">/readyz</a> whether commands would work now'
    "</ul></html>\n"
)


def bind(listen: ListenAddress | None, setting: str = "metrics.listen") -> socket.socket | None:
    """Returns a listening socket, or None if the `setting` is off. Raises ConfigError with a hint."""
    if listen is None:
        return None
    try:
        if not listen.host:
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            sock = socket.create_server(("", listen.port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
        else:
            family, _, _, _, address = socket.getaddrinfo(
                listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise errors.ConfigError([_unusable(listen, error, setting)]) from error
    sock.setblocking(False)
    return sock


def _unusable(listen: ListenAddress, error: OSError, setting: str) -> errors.Problem:
    what, hint = f"cannot listen at {listen}: {error.strerror}", "Choose another address, or write off."
    if error.errno == errno.EADDRINUSE:
        what = f"{listen} is in use by another program"
        hint = f"Is Quarterdeck running already? Check with: ss -ltnp 'sport = :{listen.port}'. Or choose another port."
    elif error.errno in (errno.EACCES, errno.EPERM):
        what = f"this user may not listen at {listen}"
        hint = "Ports below 1024 need root. Choose a higher port."
    elif error.errno == errno.EADDRNOTAVAIL:
        what = f"{listen.host} is not an address of this machine"
        hint = f"Write :{listen.port} for all of its addresses, or 127.0.0.1:{listen.port}."
    elif isinstance(error, socket.gaierror):
        what = f"the host name {listen.host} cannot be resolved"
        hint = f"Write an address of this machine, or :{listen.port} for all of them."
    return errors.Problem(path=setting, what=what, hint=hint)


async def serve(sock: socket.socket, *, page: Page, ready: Ready, idle: float = IDLE_SECONDS) -> Server:
    """Answers requests on a bound socket until closed; closes the socket too. `idle`: see IDLE_SECONDS."""
    server = Server(page, ready)
    await server.open(sock, idle)
    return server


class Server:
    """The server that `serve` started. `rejected` counts connections beyond MAX_CONNECTIONS."""

    def __init__(self, page: Page, ready: Ready) -> None:
        self._page, self._ready = page, ready
        self.rejected = 0

    async def open(self, sock: socket.socket, idle: float) -> None:
        from aiohttp import web  # noqa: PLC0415 (takes 100 ms; the socket is open by now)

        loop, connection_class = asyncio.get_running_loop(), _connection_class()
        quiet = logging.getLogger("quarterdeck.http")
        quiet.setLevel(logging.CRITICAL)  # scrapes and invalid requests are not logged
        self._web = web.Server(self._handle)

        def connect() -> asyncio.Protocol:
            if len(self._web.connections) >= MAX_CONNECTIONS:
                self.rejected += 1
                return _Reject()
            return connection_class(
                self._web,
                loop=loop,
                access_log=quiet,
                logger=quiet,
                keepalive_timeout=idle,
                lingering_time=1.0,
                max_line_size=MAX_LINE_BYTES,
                max_field_size=MAX_LINE_BYTES,
                max_headers=MAX_HEADERS,
            )

        self._listening = await loop.create_server(connect, sock=sock, backlog=BACKLOG)

    async def aclose(self) -> None:
        """Accepts no new connections, and waits shortly for responses in progress."""
        self._listening.close()
        self._web.pre_shutdown()
        await self._web.shutdown(GRACE_SECONDS)
        await self._listening.wait_closed()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._response_for(request)
        try:
            # Sent here and not by aiohttp, which would wait without limit for a client that does not read.
            async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _response_for(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            response = _response(405, b"Only GET and HEAD are allowed.\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        try:
            match request.path:
                case "/metrics":
                    return self._metrics(request)
                case "/healthz":
                    return _response(200, b"ok\n")
                case "/readyz":
                    return await self._readiness()
                case "/":
                    return _response(200, INDEX.encode(), HTML)
        except Exception:
            log.exception("a page failed because of a bug", path=request.path)
            return _response(500, b"Internal error. The log has the details.\n")
        return _response(404, b"Not found. See /metrics, /healthz and /readyz.\n")

    def _metrics(self, request: web.BaseRequest) -> web.Response:
        response = _response(200, self._page(), METRICS_TYPE)
        response.headers["Vary"] = "Accept-Encoding"
        if wants_gzip(request.headers.get("Accept-Encoding", "")):
            from aiohttp import web  # noqa: PLC0415

            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _readiness(self) -> web.Response:
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                ready, parts = await self._ready()
        except TimeoutError:
            ready, parts = False, {"reason": f"no answer within {READY_TIMEOUT_SECONDS:g} s"}
        body = json.dumps({"ready": ready, **parts}, ensure_ascii=False, default=str)
        return _response(200 if ready else 503, f"{body}\n".encode(), JSON)


class _Reject(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def wants_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip; `gzip;q=0` forbids it."""
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


def _response(status: int, body: bytes, kind: str = TEXT) -> web.Response:
    from aiohttp import web  # noqa: PLC0415

    headers = {"Content-Type": kind, "Server": "quarterdeck", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=status, body=body, headers=headers)


def _connection_class() -> type[web.RequestHandler]:
    from aiohttp import web  # noqa: PLC0415

    class Connection(web.RequestHandler):
        """aiohttp's connection. An invalid request gets a response without aiohttp's name and version."""

        __slots__ = ()

        def handle_error(
            self,
            request: web.BaseRequest,
            status: int = 500,
            exc: BaseException | None = None,
            message: str | None = None,
        ) -> web.StreamResponse:
            if request.writer.output_size > 0:
                raise ConnectionError("part of the response was sent already")
            response = _response(status, b"The request is invalid.\n")
            response.force_close()
            return response

    return Connection
