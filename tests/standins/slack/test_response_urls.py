"""response_url: five uses, thirty minutes, JSON; what it posts, replaces and deletes."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.webhook.async_client import AsyncWebhookClient

BUTTON = {
    "type": "actions",
    "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "go"}],
}


@pytest.fixture
async def command_url(slack):
    return (await slack.slash("ada", "dev", "/deck", "ps"))["response_url"]


@pytest.fixture
async def pressed(slack, web):
    """Presses the button of a new message; the url and the message's ts."""

    async def press(**ephemeral):
        if ephemeral:
            ts = (await web.chat_postEphemeral(channel="C0OPS", text="old", blocks=[BUTTON], **ephemeral))["message_ts"]
        else:
            ts = (await web.chat_postMessage(channel="C0OPS", text="old", blocks=[BUTTON]))["ts"]
        return (await slack.click("ada", ts, "Go"))["response_url"], ts

    return press


def rules(slack):
    return [one["rule"] for one in slack.violations()]


async def test_it_answers_where_the_bot_is_not(slack, command_url):
    answer = await AsyncWebhookClient(command_url).send(text="invite me")
    assert (answer.status_code, answer.body) == (200, "ok")
    (shown,) = [one for one in slack.screen("ada", "dev") if one["author"] == "quarterdeck"]
    assert shown["ephemeral"]
    assert not [one for one in slack.screen("bob", "dev") if one["author"] == "quarterdeck"]
    await AsyncWebhookClient(command_url).send(text="for all", response_type="in_channel")
    assert "for all" in slack.text("bob", "dev")
    assert rules(slack) == []


async def test_five_uses(slack, command_url):
    hook = AsyncWebhookClient(command_url)
    assert [(await hook.send(text="x")).status_code for _ in range(5)] == [200] * 5
    assert rules(slack) == []
    answer = await hook.send(text="x")
    assert answer.status_code == 404
    assert "used_url" in answer.body
    assert "at most 5 times" in rules(slack)[0]


async def test_thirty_minutes(slack, command_url):
    hook = AsyncWebhookClient(command_url)
    slack.advance(29 * 60)
    assert (await hook.send(text="x")).status_code == 200
    slack.advance(61)
    assert "expired_url" in (await hook.send(text="x")).body
    assert "lives 30 minutes" in rules(slack)[0]


async def test_json_only_and_a_url_of_slacks(slack, command_url):
    async with aiohttp.ClientSession() as session:
        async with session.post(command_url, data={"payload": '{"text": "x"}'}) as answer:
            assert answer.status == 400
    assert "JSON only" in rules(slack)[0]
    answer = await AsyncWebhookClient(slack.url + "/commands/T0001/1/2").send(text="x")
    assert answer.status_code == 404
    assert "comes from Slack" in rules(slack)[1]


async def test_the_same_checks_as_a_posted_message(slack, command_url):
    hook = AsyncWebhookClient(command_url)
    bad = {"type": "section", "text": {"type": "mrkdwn", "text": ""}}
    assert "invalid_blocks" in (await hook.send(text="x", blocks=[bad])).body
    assert "no_text" in (await hook.send_dict({"text": ""})).body
    assert len(rules(slack)) == 2
    assert (await hook.send(text="x", blocks=[{"type": "divider"}])).status_code == 200


async def test_a_command_has_no_original(slack, command_url):
    hook = AsyncWebhookClient(command_url)
    await hook.send(text="working")
    await hook.send(text="done", replace_original=True)
    assert [one["text"] for one in slack.screen("ada", "dev")][-2:] == ["working", "done"]
    assert "no original" in rules(slack)[0]


async def test_a_press_replaces_its_message_for_everybody(slack, pressed):
    url, ts = await pressed()
    await AsyncWebhookClient(url).send(text="new", replace_original=True)
    (shown,) = slack.screen("bob", "ops")
    assert (shown["ts"], shown["text"], shown["edits"], shown["buttons"]) == (ts, "new", 1, [])
    assert rules(slack) == []


async def test_an_ephemeral_stays_ephemeral_when_replaced(slack, pressed):
    url, _ = await pressed(user="U0ADA")
    await AsyncWebhookClient(url).send(text="new", replace_original=True, response_type="in_channel")
    assert [one["text"] for one in slack.screen("ada", "ops") if one["edits"]] == ["new"]
    assert slack.screen("bob", "ops") == []


async def test_a_press_may_delete_its_message(slack, pressed):
    url, ts = await pressed(user="U0ADA")
    await AsyncWebhookClient(url).send(delete_original=True)
    assert ts not in [one["ts"] for one in slack.screen("ada", "ops")]
    assert rules(slack) == []


async def test_it_may_answer_in_a_thread(slack, pressed):
    url, ts = await pressed()
    body = {"text": "below", "response_type": "in_channel", "replace_original": False, "thread_ts": ts}
    await AsyncWebhookClient(url).send_dict(body)
    assert [one["text"] for one in slack.screen("bob", "ops", ts)] == ["[Go]", "below"]


async def test_it_can_fail(slack, command_url):
    slack.fault("response_url", "500")
    hook = AsyncWebhookClient(command_url)
    assert (await hook.send(text="x")).status_code == 500
    assert (await hook.send(text="x")).status_code == 200
    assert rules(slack) == []
