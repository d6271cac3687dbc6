"""Slack has the acknowledgement before anything of a request begins, in both modes, however long that may take."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from typing import Any

import aiohttp
import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.socket_mode.request import SocketModeRequest

from bot import listening_socket
from bot.slack import acknowledgement, http_requests, listeners, socket_requests
from core.config.load import ListenAddress
from tests.standins.slack import signed_http
from tests.unit.bot.slack.test_decode_requests import CLICK, COMMAND, DIRECT, MENTION

EVENTS = {"slash_commands": COMMAND, "events_api": MENTION, "interactive": CLICK}


def bolt_app(happened: list[str]) -> AsyncApp:
    async def authorize(**_: object) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T1", bot_user_id="UBOT", bot_id="B1", bot_token="xoxb-1")

    app = AsyncApp(
        signing_secret="", request_verification_enabled=False, authorize=authorize, process_before_response=True
    )

    def accept(request: Any) -> None:
        happened.append(f"began {request.text}")

    def ignore(reason: Any) -> None:
        happened.append(f"ignored {reason}")

    listeners.register_listeners(app, accept, ignore, command="/deck", direct=("ps",))
    return app


class Client:
    """The connection to Slack."""

    def __init__(self, happened: list[str], *, broken: bool = False) -> None:
        self.happened = happened
        self.broken = broken
        self.logger = _Quiet()

    async def send_socket_mode_response(self, response: Any) -> None:
        await asyncio.sleep(0)  # as if the connection was busy
        await asyncio.sleep(0)
        if self.broken:
            raise ConnectionError
        self.happened.append("acknowledged")


class _Quiet:
    level = 100

    def info(self, *_: object) -> None: ...


@pytest.mark.parametrize("kind", EVENTS)
async def test_a_request_of_the_socket_begins_after_its_acknowledgement(kind: str) -> None:
    happened: list[str] = []
    handler = socket_requests.SocketRequestHandler(bolt_app(happened), "xapp-1")
    request = SocketModeRequest(type=kind, envelope_id="e1", payload=EVENTS[kind])  # type: ignore[arg-type]
    await handler.handle(Client(happened), request)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert happened[0] == "acknowledged" and happened[1].startswith("began ")
    await handler.client.close()  # type: ignore[no-untyped-call]


async def test_a_request_whose_acknowledgement_failed_begins_all_the_same() -> None:
    happened: list[str] = []
    handler = socket_requests.SocketRequestHandler(bolt_app(happened), "xapp-1")
    request = SocketModeRequest(type="slash_commands", envelope_id="e1", payload=COMMAND)
    with pytest.raises(ConnectionError):
        await handler.handle(Client(happened, broken=True), request)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert happened == ["began logs web"]
    await handler.client.close()  # type: ignore[no-untyped-call]


async def test_a_request_by_http_begins_after_its_response_was_written() -> None:
    happened: list[str] = []
    body = json.dumps(DIRECT).encode()
    sock = listening_socket.open_socket(ListenAddress("127.0.0.1", 0))
    assert sock is not None
    at = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": str(at),
        "X-Slack-Signature": signed_http.sign("secret", at, body),
    }
    url = f"http://127.0.0.1:{sock.getsockname()[1]}{http_requests.PATH}"
    write_eof = aiohttp.web.Response.write_eof

    async def noted(self: Any, *more: Any) -> None:
        await write_eof(self, *more)
        happened.append("written")

    async with contextlib.AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(aiohttp.web.Response, "write_eof", noted)
        await stack.enter_async_context(
            http_requests.serve_slack_requests(sock, bolt_app(happened), "secret", lambda _: None)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        async with session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 200
        async with asyncio.timeout(60):
            while "began ps" not in happened:
                await asyncio.sleep(0)
    assert happened[0] == "written"


async def test_what_comes_late_or_alone_begins_at_once() -> None:
    happened: list[int] = []

    async def later() -> None:
        await asyncio.sleep(0)
        acknowledgement.run_afterwards(lambda: happened.append(2))

    acknowledgement.run_afterwards(lambda: happened.append(1))
    with acknowledgement.acknowledge_first():
        task = asyncio.create_task(later())
    await task
    assert happened == [1, 2]


PROBE = """
import asyncio, sys
from tests.unit.bot.slack.test_acknowledgement import EVENTS, Client, bolt_app
from slack_sdk.socket_mode.request import SocketModeRequest
from bot.slack import socket_requests

async def main():
    handler = socket_requests.SocketRequestHandler(bolt_app([]), "xapp-1")
    known = set(sys.modules)
    for kind, payload in EVENTS.items():
        await handler.handle(Client([]), SocketModeRequest(type=kind, envelope_id="e1", payload=payload))
        await asyncio.sleep(0)
    print(sorted(set(sys.modules) - known))
    await handler.client.close()

asyncio.run(main())
"""


def test_no_module_is_imported_for_a_request() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
