"""Serves /metrics for Prometheus, /healthz and /readyz for probes, and an index page over HTTP.

`bot.listening_socket` has opened the socket. No page needs a password, and no page changes anything. The server
disconnects a client that sends slowly, too much or nothing. It limits the number of connections.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog

from bot import listening_socket

if TYPE_CHECKING:
    from aiohttp import web

log = structlog.get_logger(__name__)
Page = Callable[[], bytes]
Ready = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]

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


async def serve(sock: socket.socket, *, page: Page, ready: Ready, idle: float = IDLE_SECONDS) -> Server:
    """Starts to answer requests on a listening socket. The returned server closes the socket when it is closed. `idle`:
    see IDLE_SECONDS."""
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

        self._listening = await loop.create_server(connect, sock=sock, backlog=listening_socket.BACKLOG)

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
