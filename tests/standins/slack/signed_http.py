"""The other way in: requests to a url of the product, signed with v0 over timestamp and body.

Commands and interactions come as forms, events as JSON. `post` sends one and tells the status; who repeats what is for
`delivery` to decide.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.parse
from dataclasses import dataclass

import aiohttp

from tests.standins.slack import state
from tests.standins.slack.records import Delivery, Json

MOST_SKEW = 300  # seconds; what is older or newer must be refused


@dataclass(slots=True, kw_only=True)
class Target:
    """Where the product listens, and what is wrong with what we send. `skew` seconds are added to the timestamp;
    `signature` is `good`, `bad` or `missing`."""

    url: str
    secret: str = state.SIGNING_SECRET
    skew: int = 0
    signature: str = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: str
    no_retry: bool


def sign(secret: str, timestamp: int, body: bytes) -> str:
    digest = hmac.new(secret.encode(), b"v0:%d:" % timestamp + body, hashlib.sha256)
    return f"v0={digest.hexdigest()}"


def encode(delivery: Delivery) -> tuple[bytes, str]:
    match delivery.kind:
        case "events_api":
            return json.dumps(delivery.payload).encode(), "application/json"
        case "slash_commands":
            return urllib.parse.urlencode(delivery.payload).encode(), "application/x-www-form-urlencoded"
    form = urllib.parse.urlencode({"payload": json.dumps(delivery.payload)})
    return form.encode(), "application/x-www-form-urlencoded"


async def post(
    session: aiohttp.ClientSession, target: Target, body: bytes, kind: str, *, now: float, more: Json | None = None
) -> Answer:
    """Raises `aiohttp.ClientError` and `TimeoutError` as they come."""
    timestamp = int(now) + target.skew
    headers = {"Content-Type": kind, "X-Slack-Request-Timestamp": str(timestamp), **(more or {})}
    if target.signature != "missing":
        secret = target.secret if target.signature == "good" else target.secret + "?"
        headers["X-Slack-Signature"] = sign(secret, timestamp, body)
    async with session.post(target.url, data=body, headers=headers) as answer:
        return Answer(
            status=answer.status, body=await answer.text(), no_retry=answer.headers.get("x-slack-no-retry") == "1"
        )
