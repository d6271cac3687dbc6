"""Socket Mode, with slack_sdk's own client where it obeys and a bare WebSocket where rules are broken."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.standins.slack import state


@pytest.fixture
async def app(slack):
    """Connects slack_sdk clients that keep what they get; `answer` is what they put into acks, None: no ack at all."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(answer=None, ack=True):
            web = AsyncWebClient(base_url=slack.api)
            client = SocketModeClient(app_token=state.APP_TOKEN, web_client=web, ping_interval=0.2)
            client.got = []

            async def take(_, request):
                client.got.append(request)
                if ack:
                    await client.send_socket_mode_response(
                        SocketModeResponse(envelope_id=request.envelope_id, payload=answer)
                    )

            client.socket_mode_request_listeners.append(take)
            stack.push_async_callback(client.close)
            await client.connect()
            return client

        yield connect


@pytest.fixture
async def bare(slack):
    """A WebSocket that does only what the test tells it."""
    async with aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as stack:

        async def connect(url=""):
            if not url:
                url = (await AsyncWebClient(base_url=slack.api).apps_connections_open(app_token=state.APP_TOKEN))["url"]
            return await stack.enter_async_context(session.ws_connect(url, autoping=False))

        yield connect


def rules(slack):
    return [one["rule"] for one in slack.violations()]


async def test_hello_an_envelope_and_its_ack(slack, bare):
    ws = await bare()
    hello = await ws.receive_json()
    assert (hello["type"], hello["num_connections"], hello["connection_info"]) == ("hello", 1, {"app_id": "A0001"})
    assert "host" in hello["debug_info"]
    sent = await slack.slash("ada", "ops", "/deck", "ps")
    envelope = await ws.receive_json()
    assert envelope["accepts_response_payload"]
    assert (envelope["type"], envelope["envelope_id"]) == ("slash_commands", sent["envelope_id"])
    assert {key: envelope["payload"][key] for key in ("command", "text", "user_id", "channel_id", "team_id")} == {
        "command": "/deck", "text": "ps", "user_id": "U0ADA", "channel_id": "C0OPS", "team_id": "T0001",
    }  # fmt: skip
    await ws.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "seen"}})
    assert (await slack.settled(sent["envelope_id"]))["acked"]
    assert "seen" in slack.text("ada", "ops")
    assert slack.violations() == []


async def test_a_ticket_opens_one_socket(slack, bare):
    url = (await AsyncWebClient(base_url=slack.api).apps_connections_open(app_token=state.APP_TOKEN))["url"]
    await bare(url)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await bare(url)
    assert "once" in rules(slack)[0]


async def test_ten_sockets_and_no_more(slack, bare):
    for _ in range(10):
        await (await bare()).receive_json()
    assert slack.violations() == []
    eleventh = await bare()
    assert (await eleventh.receive_json())["reason"] == "too_many_websockets"
    assert "at most 10" in rules(slack)[0]
    assert len(slack.sockets()) == 10


async def test_each_envelope_goes_to_one_socket(slack, app):
    clients = [await app() for _ in range(3)]
    await slack.until_sockets(3)
    sent = [(await slack.slash("ada", "ops", "/deck", str(at)))["envelope_id"] for at in range(20)]
    for one in sent:
        assert (await slack.settled(one))["acked"]
    got = [request.envelope_id for client in clients for request in client.got]
    assert sorted(got) == sorted(sent)
    assert all(client.got for client in clients)
    assert slack.violations() == []


async def test_without_an_ack_in_time_the_person_sees_so(slack, app):
    slack.configure(ack_seconds=0.1, patience_seconds=0.1)
    await app(ack=False)
    sent = await slack.slash("ada", "ops", "/deck", "ps")
    shown = await slack.until("ada", "ops", "operation_timeout")
    assert shown[-1]["ephemeral"]
    assert (await slack.settled(sent["envelope_id"]))["timed_out"]
    async with asyncio.timeout(60):
        while not rules(slack):
            await slack.workspace.changed()
    assert "within 3 s" in rules(slack)[0]


async def test_with_no_socket_the_person_sees_so_and_nobody_is_to_blame(slack):
    await slack.slash("ada", "ops", "/deck", "ps")
    assert "dispatch_failed" in slack.text("ada", "ops")
    assert slack.violations() == []


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"envelope_id": "env-nil"}, "socket it came by"),
        ({"type": "ping"}, "only {envelope_id, payload}"),
        ("hello", "only {envelope_id, payload}"),
    ],
)
async def test_only_acks_are_said(slack, bare, said, rule):
    ws = await bare()
    await ws.receive_json()
    await (ws.send_str(said) if isinstance(said, str) else ws.send_json(said))
    async with asyncio.timeout(60):
        while not rules(slack):
            await slack.workspace.changed()
    assert rule in rules(slack)[0]


async def test_an_envelope_is_acked_once_and_events_without_words(slack, bare):
    ws = await bare()
    await ws.receive_json()
    await slack.say("ada", "ops", "@quarterdeck ps")
    envelope = await ws.receive_json()
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("events_api", False)
    assert (envelope["retry_attempt"], envelope["retry_reason"]) == (0, "")
    ack = {"envelope_id": envelope["envelope_id"]}
    for said in (ack | {"payload": {"text": "x"}}, ack, ack):
        await ws.send_json(said)
    async with asyncio.timeout(60):
        while len(rules(slack)) < 2:
            await slack.workspace.changed()
    assert "no response payload" in rules(slack)[0]
    assert "acked once" in rules(slack)[1]


async def test_a_payload_may_come_again(slack, app):
    client = await app()
    sent = (await slack.say("ada", "ops", "@quarterdeck ps"))["envelope_id"]
    await slack.settled(sent)
    again = await slack.redeliver(sent)
    await slack.settled(again)
    await slack.settled(await slack.redeliver(again, fresh=False))
    first, second, third = client.got
    assert first.payload == second.payload == third.payload
    assert first.envelope_id != second.envelope_id == third.envelope_id
    assert [one.retry_attempt for one in client.got] == [0, 1, 2]
    assert second.retry_reason == "timeout"
    assert slack.violations() == []


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_asked_to_connect_anew(slack, app, bare, reason):
    ws = await bare()
    await ws.receive_json()
    await slack.disconnect(reason, close_after=0.05)
    said = await ws.receive_json()
    assert (said["type"], said["reason"]) == ("disconnect", reason)
    assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_slack_sdk_comes_back_after_a_refresh_and_a_killed_socket(slack, app):
    client = await app()
    (first,) = await slack.until_sockets(1)
    await slack.disconnect()
    await slack.until_sockets(0)
    (second,) = await slack.until_sockets(1)
    assert slack.kill_sockets() == 1
    await slack.until_sockets(0)
    (third,) = await slack.until_sockets(1)
    assert len({first["name"], second["name"], third["name"]}) == 3
    await slack.settled((await slack.slash("ada", "ops", "/deck", "still there"))["envelope_id"])
    assert client.got[-1].payload["text"] == "still there"
    assert slack.violations() == []


async def test_a_silent_socket_swallows_envelopes_and_answers_no_ping(slack, bare):
    ws = await bare()
    await ws.receive_json()
    await ws.ping(b"one")
    assert (await ws.receive()).type is aiohttp.WSMsgType.PONG
    slack.silence_sockets()
    slack.configure(ack_seconds=0.05)
    await ws.ping(b"two")
    sent = await slack.slash("ada", "ops", "/deck", "ps")
    assert (await slack.settled(sent["envelope_id"]))["timed_out"]
    with pytest.raises(TimeoutError):
        await ws.receive(timeout=0.05)
    assert slack.violations() == []


async def test_slack_pings(slack, bare):
    slack.configure(ping_seconds=0.05)
    ws = await bare()
    await ws.receive_json()
    ping = await ws.receive(timeout=5)
    assert (ping.type, ping.data[:9]) == (aiohttp.WSMsgType.PING, b"Ping from")
    await ws.pong(ping.data)


async def test_an_envelope_is_lost_with_its_socket(slack, bare):
    ws = await bare()
    await ws.receive_json()
    sent = await slack.slash("ada", "ops", "/deck", "ps")
    await ws.receive_json()
    slack.kill_sockets()
    assert (await slack.settled(sent["envelope_id"]))["lost"]
    assert slack.violations() == []


async def test_an_ack_on_another_socket(slack, bare):
    first = await bare()
    await first.receive_json()
    sent = await slack.slash("ada", "ops", "/deck", "ps")
    second = await bare()
    await second.receive_json()
    ack = {"envelope_id": (await first.receive_json())["envelope_id"]}
    await second.send_json(ack)
    async with asyncio.timeout(60):
        while not rules(slack):
            await slack.workspace.changed()
    assert "socket it came by" in rules(slack)[0]
    slack.kill_sockets(only=1)
    assert (await slack.settled(sent["envelope_id"]))["lost"]
    await second.send_json(ack)
    await second.ping(b"")
    await second.receive()
    assert len(rules(slack)) == 1
    assert not (await slack.settled(sent["envelope_id"]))["acked"]


async def test_new_sockets_may_be_refused(slack, refused):
    web = AsyncWebClient(base_url=slack.api)
    slack.refuse_sockets("internal_error")
    await refused(web.apps_connections_open(app_token=state.APP_TOKEN), "internal_error")
    slack.refuse_sockets("")
    assert (await web.apps_connections_open(app_token=state.APP_TOKEN))["ok"]


async def test_an_ack_that_breaks_block_kit_is_noted(slack, app):
    await app(answer={"text": "x", "blocks": [{"type": "section"}]})
    await slack.settled((await slack.slash("ada", "ops", "/deck"))["envelope_id"])
    assert "invalid_blocks" in rules(slack)[0]


async def test_the_ack_of_a_press_carries_nothing(slack, app, web):
    row = {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}}]}
    ts = (await web.chat_postMessage(channel="C0OPS", text="x", blocks=[row]))["ts"]
    await app(answer={"text": "x"})
    await slack.settled((await slack.click("ada", ts, "Go"))["envelope_id"])
    assert "carries nothing" in rules(slack)[0]
