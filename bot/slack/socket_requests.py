"""Receives Slack's requests from a Socket Mode connection, and passes them to the Bolt library.

Each request is acknowledged through the same connection before its work begins.
"""

from __future__ import annotations

from time import time

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.slack import acknowledgement


class SocketRequestHandler(AsyncSocketModeHandler):
    """The library's handler, which acknowledges each request first."""

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        with acknowledgement.acknowledge_first():
            response = await run_async_bolt_app(self.app, req)
            await send_async_response(client, req, response, time())
