"""Serves /metrics for Prometheus, /healthz and /readyz for probes, and an index page over HTTP.

`bot.listening_socket` has opened the socket, and `bot.http_server` limits what clients can do. No page needs a
password, and no page changes anything. An endpoint, such as the one for alerts of an Alertmanager, checks its clients
itself. `bot.content_negotiation` chooses the format and the compression of /metrics, and `bot.metrics_page_cache`
limits how often it is rendered.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from bot import content_negotiation, http_server, metrics_page_cache
from bot.http_server import plain_response

if TYPE_CHECKING:
    from aiohttp import web

log = structlog.get_logger(__name__)
Ready = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]

LIMITS = http_server.ConnectionLimits()  # Prometheus scrapes every 15 to 60 seconds over one connection
READY_TIMEOUT_SECONDS = 5.0  # for the parts to report their state
GRACE_SECONDS = 2.0  # for responses in progress when the server stops
JSON, HTML = "application/json", "text/html; charset=utf-8"
INDEX = (
    '<!doctype html><html lang="en"><title>Quarterdeck</title><h1>Quarterdeck</h1><ul>'
    '<li><a href="/metrics">/metrics</a> for Prometheus'
    '<li><a href="/healthz">/healthz</a> whether the process is alive'
    '<li><a href="/readyz">/readyz</a> whether commands would work now'
    "</ul></html>\n"
)


async def serve_metrics(
    sock: socket.socket,
    *,
    page: metrics_page_cache.Render,
    ready: Ready,
    refused: Callable[[str], None],
    limits: http_server.ConnectionLimits = LIMITS,
    prepare: metrics_page_cache.Prepare | None = None,
    endpoints: Mapping[str, Endpoint] | None = None,
) -> Server:
    """Starts to answer requests on a listening socket. The returned server closes the socket when it is closed.
    `refused`: see HttpServer. `prepare`: see MetricsPageCache. `endpoints`: by path."""
    server = Server(metrics_page_cache.MetricsPageCache(page, prepare=prepare), ready, limits, refused, endpoints or {})
    await server.http.open(sock)
    return server


class Endpoint(Protocol):
    """Answers the requests to one path, of any method. `body_limit` returns how many bytes of a body are read."""

    def body_limit(self, request: web.BaseRequest, /) -> int: ...

    async def handle(self, request: web.BaseRequest, body: bytes, /) -> web.Response: ...


class Server:
    """The server that `serve_metrics` started."""

    def __init__(
        self,
        pages: metrics_page_cache.MetricsPageCache,
        ready: Ready,
        limits: http_server.ConnectionLimits,
        refused: Callable[[str], None],
        endpoints: Mapping[str, Endpoint],
    ) -> None:
        self._pages = pages
        self._ready = ready
        self._endpoints = endpoints
        self.http = http_server.HttpServer(self._handle, limits, refused, self._body_limit)

    async def aclose(self) -> None:
        """Accepts no new connections, and waits shortly for responses in progress."""
        await self.http.aclose(GRACE_SECONDS)
        self._pages.close()

    def _body_limit(self, request: web.BaseRequest) -> int:
        endpoint = self._endpoints.get(request.path)
        return endpoint.body_limit(request) if endpoint is not None and request.method == "POST" else 0

    async def _handle(self, request: web.BaseRequest, body: bytes) -> web.Response:
        endpoint = self._endpoints.get(request.path)
        if endpoint is not None:
            try:
                return await endpoint.handle(request, body)
            except Exception:
                log.exception("An endpoint failed because of a bug.", path=request.path)
                return plain_response(500, b"Internal error. The log has the details.\n")
        if request.method not in ("GET", "HEAD"):
            response = plain_response(405, b"Only GET and HEAD are allowed.\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        try:
            match request.path:
                case "/metrics":
                    return await self._metrics(request)
                case "/healthz":
                    return plain_response(200, b"ok\n")
                case "/readyz":
                    return await self._readiness()
                case "/":
                    return plain_response(200, INDEX.encode(), HTML)
        except Exception:
            log.exception("A page failed because of a bug.", path=request.path)
            return plain_response(500, b"Internal error. The log has the details.\n")
        return plain_response(404, b"Not found. See /metrics, /healthz and /readyz.\n")

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        offer = content_negotiation.choose_format(",".join(request.headers.getall("Accept", ())))
        compressed = content_negotiation.wants_gzip(",".join(request.headers.getall("Accept-Encoding", ())))
        page = await self._pages.page(offer.form, compressed=compressed)
        response = plain_response(200, page, offer.content_type)
        response.headers["Vary"] = "Accept, Accept-Encoding"
        if compressed:
            response.headers["Content-Encoding"] = "gzip"
        return response

    async def _readiness(self) -> web.Response:
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                ready, parts = await self._ready()
        except TimeoutError:
            ready, parts = False, {"reason": f"no answer within {READY_TIMEOUT_SECONDS:g} s"}
        body = json.dumps({"ready": ready, **parts}, ensure_ascii=False, default=str)
        return plain_response(200 if ready else 503, f"{body}\n".encode(), JSON)
