"""Signed requests, against slack_bolt's own HTTP door and a bare one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from aiohttp import web as http
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from tests.standins.slack import signed_http, state


@pytest.fixture
async def serve():
    """Serves an aiohttp application on loopback and tells its url."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(app):
            runner = http.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await http.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        yield start


@pytest.fixture
async def bolt(slack, web, serve):
    """A bolt application behind HTTP that says hello; the list of what it heard."""
    app = AsyncApp(client=web, signing_secret=state.SIGNING_SECRET)
    heard = []

    @app.command("/deck")
    async def deck(ack, command):
        heard.append(command["text"])
        await ack("hello")

    @app.event("app_mention")
    async def mention(event):
        heard.append(event["text"])

    slack.use_http(await serve(app.web_app("/slack/events")) + "/slack/events")
    return heard


class Door:
    """Keeps requests and gives the answers it is told, the last one for ever."""

    def __init__(self):
        self.requests, self.answers = [], [http.Response]

    async def take(self, request):
        self.requests.append((request.headers, await request.text()))
        made = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()
        return await made if asyncio.iscoroutine(made) else made


@pytest.fixture
async def door(slack, serve):
    app, made = http.Application(), Door()
    app.router.add_post("/", made.take)
    slack.use_http(await serve(app))
    return made


def rules(slack):
    return [one["rule"] for one in slack.violations()]


async def test_bolt_takes_what_is_signed(slack, bolt):
    sent = await slack.slash("ada", "ops", "/deck", "ps")
    assert (await slack.settled(sent["envelope_id"]))["status"] == 200
    assert "hello" in slack.text("ada", "ops")
    sent = await slack.say("ada", "ops", "@quarterdeck hi")
    assert (await slack.settled(sent["envelope_id"]))["acked"]
    assert bolt == ["ps", "<@U0DECK> hi"]
    assert slack.violations() == []


@pytest.mark.parametrize("how", [{"signature": "bad"}, {"skew": -301}, {"skew": 310}, {"signature": "missing"}])
async def test_bolt_refuses_what_is_forged_or_old(slack, bolt, how):
    url = slack.deliveries_.http.url
    slack.use_http(url, **how)
    sent = await slack.slash("ada", "ops", "/deck", "ps")
    assert (await slack.settled(sent["envelope_id"]))["status"] == 401
    assert bolt == []
    assert slack.violations() == []
    slack.use_http(url, skew=-290)
    await slack.settled((await slack.slash("ada", "ops", "/deck", "ps"))["envelope_id"])
    assert bolt == ["ps"]


async def test_a_door_that_takes_forged_requests_is_mistaken(slack, door):
    slack.use_http(slack.deliveries_.http.url, signature="bad")
    await slack.settled((await slack.slash("ada", "ops", "/deck", "ps"))["envelope_id"])
    assert "badly signed" in rules(slack)[0]


async def test_signatures_are_slacks_own(slack, door):
    await slack.settled((await slack.slash("ada", "ops", "/deck", "ps"))["envelope_id"])
    headers, body = door.requests[0]
    assert SignatureVerifier(state.SIGNING_SECRET).is_valid_request(body, dict(headers))
    assert not SignatureVerifier("other").is_valid_request(body, dict(headers))
    assert signed_http.sign("s", 1, b"x") != signed_http.sign("s", 2, b"x")


async def test_events_are_json_and_presses_are_forms(slack, door, web):
    await slack.settled((await slack.say("ada", "ops", "@quarterdeck hi"))["envelope_id"])
    row = {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}}]}
    ts = (await web.chat_postMessage(channel="C0OPS", text="x", blocks=[row]))["ts"]
    await slack.settled((await slack.click("ada", ts, "Go"))["envelope_id"])
    (_, event), (headers, press) = door.requests
    assert json.loads(event)["event"]["type"] == "app_mention"
    assert press.startswith("payload=%7B")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_an_event_is_repeated_three_times_and_a_command_never(slack, door):
    slack.configure(retry_delays=[0, 0, 0])
    door.answers[:] = [lambda: http.Response(status=500)]
    await slack.slash("ada", "ops", "/deck", "ps")
    await slack.until("ada", "ops", "dispatch_failed")
    assert len(door.requests) == 1
    await slack.say("ada", "ops", "@quarterdeck hi")
    async with asyncio.timeout(60):
        while len(door.requests) < 5:
            await slack.workspace.changed()
    told = [(h.get("X-Slack-Retry-Num"), h.get("X-Slack-Retry-Reason")) for h, _ in door.requests[1:]]
    assert told == [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")]
    assert len({body for _, body in door.requests[1:]}) == 1


async def test_repeating_ends_with_success_or_when_told(slack, door):
    slack.configure(retry_delays=[0, 0, 0])
    door.answers[:] = [
        lambda: http.Response(status=503),
        http.Response,
        lambda: http.Response(status=500, headers={"x-slack-no-retry": "1"}),
    ]
    for count in (2, 3):
        sent = await slack.say("ada", "ops", "@quarterdeck hi")
        async with asyncio.timeout(60):
            while len(door.requests) < count:
                await slack.workspace.changed()
        await slack.settled(sent["envelope_id"])
        await asyncio.sleep(0.02)
        assert len(door.requests) == count


async def test_three_seconds_hold_for_http_too(slack, door):
    slack.configure(ack_seconds=2, patience_seconds=0.1, retry_delays=[0.0])

    async def slow():
        slack.configure(ack_seconds=30)  # for the next attempt, so that only this one is too slow
        await asyncio.sleep(30)
        return http.Response()

    door.answers[:] = [slow, http.Response]
    sent = await slack.say("ada", "ops", "@quarterdeck hi")
    async with asyncio.timeout(60):
        while len(door.requests) < 2:
            await slack.workspace.changed()
    assert (await slack.settled(sent["envelope_id"]))["acked"]
    assert door.requests[1][0]["X-Slack-Retry-Reason"] == "http_timeout"
    async with asyncio.timeout(60):
        while not rules(slack):
            await slack.workspace.changed()
    assert "within 3 s" in rules(slack)[0]


async def test_nobody_listens(slack):
    slack.use_http("http://127.0.0.1:9/")
    await slack.slash("ada", "ops", "/deck", "ps")
    await slack.until("ada", "ops", "dispatch_failed")
    assert slack.violations() == []


async def test_the_challenge(slack, serve, door):
    assert not await slack.verify_url()

    async def echo(request):
        return http.json_response({"challenge": (await request.json())["challenge"]})

    app = http.Application()
    app.router.add_post("/", echo)
    slack.use_http(await serve(app))
    assert await slack.verify_url()
