"""The stand-in as a process of its own, driven by the synchronous client, with a bolt application in a third place."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web import WebClient
from slack_sdk.web.async_client import AsyncWebClient

from tests.standins.slack import client, state


def plain(text):
    return {"type": "plain_text", "text": text}


MODAL = {
    "type": "modal",
    "callback_id": "why",
    "title": plain("Sure?"),
    "submit": plain("Yes"),
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "reason"},
        }
    ],
}


@pytest.fixture
async def bolt(slack):
    """An application that asks, opens a modal and answers, all through Socket Mode."""
    app = AsyncApp(client=AsyncWebClient(token=state.BOT_TOKEN, base_url=slack.api))

    @app.command("/deck")
    async def deck(ack, respond, command):
        await ack()
        button = {"type": "button", "text": plain("Remove"), "action_id": "remove", "style": "danger"}
        await respond(
            text=f"rm {command['text']}?",
            blocks=[
                {"type": "section", "text": plain(f"rm {command['text']}?")},
                {"type": "actions", "elements": [button]},
            ],
        )

    @app.action("remove")
    async def remove(ack, body, client, respond):
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)
        await respond(text="asked", replace_original=True)

    @app.view("why")
    async def why(ack, view, body, client):
        reason = view["state"]["values"]["reason"]["reason"]["value"]
        match reason:
            case "no":
                await ack(response_action="errors", errors={"reason": "Say more."})
            case "wrong":
                await ack(response_action="errors", errors={"nothing": "Say more."})
            case "again":
                await ack(response_action="update", view=MODAL | {"title": plain("Really?")})
            case "deeper":
                await ack(response_action="push", view=MODAL | {"title": plain("Deeper")})
            case "all":
                await ack(response_action="clear")
            case _:
                await ack()
                await client.chat_postMessage(channel=body["user"]["id"], text=f"removed: {reason}")

    handler = AsyncSocketModeHandler(app, state.APP_TOKEN, web_client=AsyncWebClient(base_url=slack.api))
    await handler.connect_async()
    yield app
    await handler.close_async()


async def test_a_whole_conversation(slack, bolt):
    await slack.slash("ada", "ops", "/deck", "web")
    shown = await slack.until("ada", "ops", "rm web?")
    await slack.click("ada", shown[-1], "Remove")
    await slack.until_modal("ada", "Reason")
    await slack.until("ada", "ops", "asked")
    sent = await slack.submit("ada", {"Reason": "too old"})
    await slack.until("ada", "dm:ada", "removed: too old")
    await slack.settled(sent["envelope_id"])
    assert slack.modal("ada") is None
    assert slack.violations() == []
    assert slack.alarms() == []


async def test_what_an_ack_does_to_a_modal(slack, bolt):
    await slack.slash("ada", "ops", "/deck", "web")
    await slack.click("ada", (await slack.until("ada", "ops", "rm web?"))[-1], "Remove")
    await slack.until_modal("ada")

    async def submit(reason):
        await slack.settled((await slack.submit("ada", {"reason": reason}))["envelope_id"])
        return slack.modal("ada")

    assert (await submit("no"))["errors"] == {"reason": "Say more."}
    assert (await submit("again"))["title"] == "Really?"
    assert (await submit("deeper"))["title"] == "Deeper"
    assert slack.violations() == []
    await submit("wrong")
    assert "errors name input blocks" in slack.violations()[0]["rule"]
    assert await submit("all") is None


def test_from_the_outside(tmp_path):
    with client.start(tmp_path, ack_seconds=0.2) as slack:
        web = WebClient(token=slack.bot_token, base_url=slack.api)
        ts = web.chat_postMessage(channel="C0OPS", text="<!here> from afar")["ts"]
        assert slack.until("ada", "ops", "from afar")[0]["ts"] == ts
        assert slack.alarms()[0]["fires"] == ["@here"]
        slack.configure(post_burst=1, rollout=["table"])
        slack.add_user("U0NEW", "newt", is_restricted=True)
        slack.add_channel("C0NEW", "new", ["newt", "quarterdeck"], kind="private")
        assert slack.text("newt", "new") == ""
        slack.fault("users.info", "user_not_found", count=1)
        slack.slash("ada", "ops", "/deck", text="ps")
        assert "dispatch_failed" in slack.text("ada", "ops")
        with pytest.raises(client.Refused, match="threads"):
            slack.slash("ada", "ops", "/deck", "ps", thread_ts=ts)
        with pytest.raises(client.Refused, match="did not come; there is:"):
            slack.until("ada", "ops", "godot", seconds=0.05)
        with pytest.raises(client.Refused, match="no setting"):
            slack.configure(colour="red")
        with pytest.raises(AttributeError):
            slack.shout("x")
        web.chat_postMessage(channel="C0SEC", text="x")
        with contextlib.suppress(Exception):
            web.api_call("chat.shout")
        assert [one["method"] for one in slack.violations()] == ["chat.shout"]
        assert slack.violations(ignore=["unknown_method"]) == []
        assert slack.calls("chat.postMessage")[0]["args"]["channel"] == "C0OPS"


@pytest.mark.parametrize("how", ["eof", "term"])
def test_the_process_ends_when_it_should(tmp_path, how):
    port_file = tmp_path / "port"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.standins.slack.standin", "--port-file", str(port_file), "--until-eof"],
        stdin=subprocess.PIPE,
        cwd=client.ROOT,
    )
    deadline = time.monotonic() + 60
    while not port_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if how == "term":
        os.kill(process.pid, signal.SIGTERM)
    else:
        process.stdin.close()
    assert process.wait(60) == 0
    process.stdin.close()
