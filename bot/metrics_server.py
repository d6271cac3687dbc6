"""Serves /metrics for Prometheus, /healthz and /readyz for probes, and an index page over HTTP.

`bot.listening_socket` has opened the socket, and `bot.http_server` limits what clients can do. No page needs a
password, and no page changes anything.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog

from bot import http_server
from bot.http_server import plain_response

if TYPE_CHECKING:
    from aiohttp import web

log = structlog.get_logger(__name__)
Page = Callable[[], bytes]
Ready = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]

LIMITS = http_server.Limits()  # Prometheus scrapes every 15 to 60 seconds over one connection
READY_TIMEOUT_SECONDS = 5.0  # for the parts to report their state
GRACE_SECONDS = 2.0  # for responses in progress when the server stops
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
JSON, HTML = "application/json", "text/html; charset=utf-8"
INDEX = (
    '<!doctype html><html lang="en"><title>Quarterdeck</title><h1>Quarterdeck</h1><ul>'
    '<li><a href="/metrics">/metrics</a> for Prometheus'
    '<li><a href="/healthz">/healthz</a> whether the process is alive'
    '<li><a href="/readyz">/readyz</a> whether commands would work now'
    "</ul></html>\n"
)


async def serve(
    sock: socket.socket,
    *,
    page: Page,
    ready: Ready,
    refused: Callable[[str], None],
    limits: http_server.Limits = LIMITS,
) -> Server:
    """Starts to answer requests on a listening socket. The returned server closes the socket when it is closed.
    `refused`: see HttpServer."""
    server = Server(page, ready, limits, refused)
    await server.http.open(sock)
    return server


class Server:
    """The server that `serve` started."""

    def __init__(self, page: Page, ready: Ready, limits: http_server.Limits, refused: Callable[[str], None]) -> None:
        self._page, self._ready = page, ready
        self.http = http_server.HttpServer(self._handle, limits, refused)

    async def aclose(self) -> None:
        """Accepts no new connections, and waits shortly for responses in progress."""
        await self.http.aclose(GRACE_SECONDS)

    async def _handle(self, request: web.BaseRequest, _: bytes) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            response = plain_response(405, b"Only GET and HEAD are allowed.\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        try:
            match request.path:
                case "/metrics":
                    return self._metrics(request)
                case "/healthz":
                    return plain_response(200, b"ok\n")
                case "/readyz":
                    return await self._readiness()
                case "/":
                    return plain_response(200, INDEX.encode(), HTML)
        except Exception:
            log.exception("a page failed because of a bug", path=request.path)
            return plain_response(500, b"Internal error. The log has the details.\n")
        return plain_response(404, b"Not found. See /metrics, /healthz and /readyz.\n")

    def _metrics(self, request: web.BaseRequest) -> web.Response:
        response = plain_response(200, self._page(), METRICS_TYPE)
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
        return plain_response(200 if ready else 503, f"{body}\n".encode(), JSON)


def wants_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip; `gzip;q=0` forbids it."""
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False
