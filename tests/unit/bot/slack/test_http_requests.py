"""What Slack has not signed is refused before it is parsed, whatever it holds; what it has signed reaches Bolt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

from bot import listening_socket
from bot.slack import http_requests
from bot.slack.http_requests import RequestHandler
from core.config.load import ListenAddress
from tests.standins.slack import signed_http

SECRET = "not-a-real-secret"
BODY = json.dumps({"type": "event_callback", "event": {"type": "app_mention", "user": "U1"}}).encode()


def bolt_app(took: list[Any]) -> AsyncApp:
    async def authorize(**_: object) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T1", bot_user_id="UBOT", bot_id="B1", bot_token="xoxb-1")

    app = AsyncApp(signing_secret="", request_verification_enabled=False, authorize=authorize)

    async def event(ack: Any, body: Any) -> None:
        await ack()
        took.append(body)

    app.event("app_mention")(event)
    return app


class Door:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session
        self.took: list[Any] = []
        self.refused: list[str] = []

    async def send(self, body: bytes = BODY, *, path: str = "", method: str = "POST", **headers: str) -> int:
        named = {"Content-Type": "application/json", **{key.replace("_", "-"): value for key, value in headers.items()}}
        async with self._session.request(method, self.url + path, data=body, headers=named) as answer:
            await answer.read()
            return answer.status


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    sock = listening_socket.open_socket(ListenAddress("127.0.0.1", 0))
    assert sock is not None
    async with aiohttp.ClientSession() as session:
        door = Door(f"http://127.0.0.1:{sock.getsockname()[1]}/slack/events", session)
        async with http_requests.serve_slack_requests(sock, bolt_app(door.took), SECRET, door.refused.append):
            yield door


def signed(body: bytes = BODY, *, at: int | None = None, secret: str = SECRET) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    return {"X_Slack_Request_Timestamp": str(at), "X_Slack_Signature": signed_http.sign(secret, at, body)}


async def test_a_signed_request_reaches_bolt() -> None:
    async with opened() as door:
        assert await door.send(**signed()) == 200
        async with asyncio.timeout(60):
            while not door.took:
                await asyncio.sleep(0.01)
        assert door.took[0]["event"]["user"] == "U1"


@pytest.mark.parametrize(
    "timestamp",
    ["", "0", "-1", "abc", "1e9", "1_000", "NaN", "inf", "٣", "9" * 12, "9" * 5000, "+NOW", " NOWx", "NOW.0", "0x10",
     "ⅷ", "NOW\u2028"],
)  # fmt: skip
@pytest.mark.parametrize("signature", ["good", "", "v0=", "v0=é", "v1=" + "0" * 64, "v0=" + "0" * 64, "x" * 3000])
def test_odd_timestamps_and_signatures_are_refused(timestamp: str, signature: str) -> None:
    handler: Any = RequestHandler(bolt_app([]), SECRET)
    now = int(time.time())
    timestamp = timestamp.replace("NOW", str(now))
    signature = signed_http.sign(SECRET, now, BODY) if signature == "good" else signature
    headers = {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature}
    assert handler._is_signed(headers, BODY) is False
    assert handler._is_signed({}, BODY) is False
    assert handler._is_signed({"X-Slack-Request-Timestamp": timestamp}, BODY) is False


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=20), st.text(max_size=80), st.binary(max_size=50))
def test_no_unsigned_request_raises_or_passes(timestamp: str, signature: str, body: bytes) -> None:
    handler: Any = RequestHandler(bolt_app([]), SECRET)
    headers = {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature}
    assert handler._is_signed(headers, body) is False


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"payload=" + b"%5B" * 50_000, b"ssl_check=1&token=x",
     b"null", json.dumps({"type": "url_verification", "challenge": "x"}).encode()],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_an_unsigned_request_gets_401_whatever_it_holds(body: bytes, kind: str) -> None:
    async with opened() as door:
        assert await door.send(body, Content_Type=kind) == 401
        assert await door.send(body, Content_Type=kind, **signed(body, secret="other")) == 401
        assert await door.send(body, Content_Type=kind, **signed(body, at=int(time.time()) - 301)) == 401
        assert await door.send(body, Content_Type=kind, **signed(body, at=int(time.time()) + 400)) == 401
        assert await door.send(body, Content_Type=kind, **{**signed(), "X_Slack_Request_Timestamp": "1e9"}) == 401


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 50_000, b"null", b"[]", b"{", b"\xff", b'"x"', b"payload=null", b"payload=%5B"],
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_a_signed_request_that_cannot_be_decoded_is_no_error_of_the_server(body: bytes, kind: str) -> None:
    async with opened() as door:
        status = await door.send(body, Content_Type=kind, **signed(body))
        assert 200 <= status < 500
        assert await door.send(**signed()) == 200


async def test_other_paths_methods_and_sizes() -> None:
    async with opened() as door:
        assert await door.send(path="/x", **signed()) == 404
        assert await door.send(b"", method="GET") == 405
        big = b"x" * (http_requests.LIMITS.body + 1)
        assert await door.send(big, **signed(big)) == 413
        assert door.refused == ["too_large"]


async def test_the_largest_message_of_slack_passes() -> None:
    words = "ä" * 12_000  # what Slack's editor takes
    payload = {"type": "event_callback", "event": {"type": "app_mention", "text": words, "blocks": [{"text": words}]}}
    for body, kind in (
        (json.dumps(payload).encode(), "application/json"),
        (urllib.parse.urlencode({"payload": json.dumps(payload)}).encode(), "application/x-www-form-urlencoded"),
    ):
        assert len(body) < http_requests.LIMITS.body
        async with opened() as door:
            assert await door.send(body, Content_Type=kind, **signed(body)) < 413
