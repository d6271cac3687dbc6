"""Receives signed HTTP requests from Slack and passes those with a valid signature to the Bolt library.

Anybody who can reach the address can send requests, so the signature is verified before the body is parsed. An unsigned
request, or one older than five minutes, gets status 401. The response is sent first; then the request is processed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from socket import socket
from typing import TYPE_CHECKING

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier

from bot import http_server
from bot.slack import acknowledgement

if TYPE_CHECKING:
    from aiohttp import web

log = structlog.get_logger(__name__)
PATH = "/slack/events"
# Slack waits three seconds for an answer. Its largest payload, a click on a long message, has about 200 KB. Idle
# connections stay longer than those of usual proxies (60 s), which would otherwise use one that is being closed.
LIMITS = http_server.ConnectionLimits(idle=75.0, receive=5.0, body=512 << 10)
GRACE_SECONDS = 3.0  # for responses in progress when the server stops
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


@contextlib.asynccontextmanager
async def serve_slack_requests(
    sock: socket, bolt: AsyncApp, secret: str, refused: Callable[[str], None]
) -> AsyncIterator[None]:
    """Receives requests on the socket while the context is open, and closes the socket. `refused`: see HttpServer."""
    server = http_server.HttpServer(RequestHandler(bolt, secret).handle, LIMITS, refused)
    await server.open(sock)
    try:
        yield
    finally:
        await server.aclose(GRACE_SECONDS)


class RequestHandler:
    """Answers one request. `secret`: the app's signing secret."""

    def __init__(self, bolt: AsyncApp, secret: str) -> None:
        from slack_bolt.adapter.aiohttp import to_aiohttp_response  # noqa: PLC0415 (not later: Slack waits 3 s)

        self._bolt, self._to_response = bolt, to_aiohttp_response
        self._verifier = SignatureVerifier(secret)

    async def handle(self, request: web.BaseRequest, body: bytes) -> web.Response:
        if request.path != PATH:
            return http_server.plain_response(404, b"Not found. Slack's requests go to /slack/events.\n")
        if request.method != "POST":
            return http_server.plain_response(405, b"Only POST is allowed.\n")
        if not self._is_signed(request.headers, body):
            return http_server.plain_response(401, b"The request has no valid signature of Slack.\n")
        try:
            received = AsyncBoltRequest(
                body=body.decode(), query=request.query_string, headers=dict(request.headers.items())
            )
            with acknowledgement.acknowledge_first():
                return await self._to_response(await self._bolt.async_dispatch(received))
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            log.warning("A signed request of Slack could not be decoded.", reason=repr(error)[:200])
            return http_server.plain_response(400, b"The request could not be decoded.\n")

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers.get("X-Slack-Request-Timestamp", "")
        signature = headers.get("X-Slack-Signature", "")
        # Checked here, because the library raises errors for other values.
        if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
            return False
        try:
            return self._verifier.is_valid(body, timestamp, signature)
        except UnicodeDecodeError:
            return False
