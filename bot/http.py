"""The HTTP door: /metrics for Prometheus, /healthz and /readyz for whoever keeps us running, a page that names them.

`bind` takes the address at once, before anything heavy is loaded: an early scrape waits in the backlog instead of being
refused. `serve` then answers. Nothing here needs a password and nothing here changes anything. A client that sends
slowly, too much or not at all is closed; at most a fixed number is connected at once.
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
MOST_CONNECTIONS = 64
IDLE = 75.0  # seconds a connection may take to send a request whole, the first or the next; scrapes come every 15 to 60
SEND_WITHIN = 30.0  # seconds a client may take to read an answer
LONGEST_LINE = 4096  # bytes of a request line or a header
MOST_HEADERS = 64
READY_WITHIN = 5.0  # seconds the parts may take to say how they are
GRACE = 2.0  # seconds answers under way may take when we stop
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT, JSON, HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"
INDEX = (
    '<!doctype html><html lang="en"><title>Quarterdeck</title><h1>Quarterdeck</h1><ul>'
    '<li><a href="/metrics">/metrics</a> for Prometheus'
    '<li><a href="/healthz">/healthz</a> whether the process lives'
    '<li><a href="/readyz">/readyz</a> whether commands would work now'
    "</ul></html>\n"
)


def bind(listen: ListenAddress | None, setting: str = "metrics.listen") -> socket.socket | None:
    """A socket that listens already, or None where that `setting` is off. Raises ConfigError with the cure."""
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
    what, hint = f"cannot listen at {listen}: {error.strerror}", "Choose another address, or off."
    if error.errno == errno.EADDRINUSE:
        what = f"{listen} is in use by another program"
        hint = f"Is Quarterdeck running already? See with: ss -ltnp 'sport = :{listen.port}'. Or choose another port."
    elif error.errno in (errno.EACCES, errno.EPERM):
        what = f"{listen} may not be used by this user"
        hint = "Ports below 1024 are for root; choose a higher one."
    elif error.errno == errno.EADDRNOTAVAIL:
        what = f"{listen.host} is no address of this machine"
        hint = f"Write :{listen.port} for all of its addresses, or 127.0.0.1:{listen.port}."
    elif isinstance(error, socket.gaierror):
        what = f"the host name {listen.host} is not known"
        hint = f"Write an address of this machine, or :{listen.port} for all."
    return errors.Problem(path=setting, what=what, hint=hint)


async def serve(sock: socket.socket, *, page: Page, ready: Ready, idle: float = IDLE) -> Server:
    """Answers on a bound socket, which it then owns, until closed. `idle`: see IDLE."""
    door = Server(page, ready)
    await door.open(sock, idle)
    return door


class Server:
    """What `serve` opened. `turned_away` counts connections beyond MOST_CONNECTIONS."""

    def __init__(self, page: Page, ready: Ready) -> None:
        self._page, self._ready = page, ready
        self.turned_away = 0

    async def open(self, sock: socket.socket, idle: float) -> None:
        from aiohttp import web  # noqa: PLC0415 (100 ms, after the socket listens)

        loop, wire_class = asyncio.get_running_loop(), _wire_class()
        quiet = logging.getLogger("quarterdeck.http")
        quiet.setLevel(logging.CRITICAL)  # neither each scrape nor what clients send wrong is logged
        self._web = web.Server(self._answer)

        def connect() -> asyncio.Protocol:
            if len(self._web.connections) >= MOST_CONNECTIONS:
                self.turned_away += 1
                return _TurnAway()
            return wire_class(
                self._web,
                loop=loop,
                access_log=quiet,
                logger=quiet,
                keepalive_timeout=idle,
                lingering_time=1.0,
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
                max_headers=MOST_HEADERS,
            )

        self._listening = await loop.create_server(connect, sock=sock, backlog=BACKLOG)

    async def aclose(self) -> None:
        """No new connections; answers under way get a moment."""
        self._listening.close()
        self._web.pre_shutdown()
        await self._web.shutdown(GRACE)
        await self._listening.wait_closed()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._page_for(request)
        try:
            # Sent here and not by aiohttp, which would wait for ever for a client that does not read.
            async with asyncio.timeout(SEND_WITHIN):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _page_for(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            refusal = _response(405, b"Only GET and HEAD are answered here.\n")
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
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
            log.exception("a page could not be made", path=request.path)
            return _response(500, b"That failed; the log says why.\n")
        return _response(404, b"There is nothing here. See /metrics, /healthz and /readyz.\n")

    def _metrics(self, request: web.BaseRequest) -> web.Response:
        response = _response(200, self._page(), METRICS_TYPE)
        response.headers["Vary"] = "Accept-Encoding"
        if wants_gzip(request.headers.get("Accept-Encoding", "")):
            from aiohttp import web  # noqa: PLC0415

            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _readiness(self) -> web.Response:
        try:
            async with asyncio.timeout(READY_WITHIN):
                ready, parts = await self._ready()
        except TimeoutError:
            ready, parts = False, {"reason": f"no answer within {READY_WITHIN:g} s"}
        body = json.dumps({"ready": ready, **parts}, ensure_ascii=False, default=str)
        return _response(200 if ready else 503, f"{body}\n".encode(), JSON)


class _TurnAway(asyncio.Protocol):
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


def _wire_class() -> type[web.RequestHandler]:
    from aiohttp import web  # noqa: PLC0415

    class Wire(web.RequestHandler):
        """aiohttp's connection; what cannot be read is answered in our words, without its name and version."""

        __slots__ = ()

        def handle_error(
            self,
            request: web.BaseRequest,
            status: int = 500,
            exc: BaseException | None = None,
            message: str | None = None,
        ) -> web.StreamResponse:
            if request.writer.output_size > 0:
                raise ConnectionError("part of an answer was sent already")
            response = _response(status, b"That request cannot be read.\n")
            response.force_close()
            return response

    return Wire
