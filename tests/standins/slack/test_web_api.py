"""The Web API's door: tokens, scopes, transport, limits, faults."""

from __future__ import annotations

import json
import time

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.standins.slack import state


async def raw(slack, method, *, verb="POST", token=state.BOT_TOKEN, **more):
    """Status, headers and JSON of a call as no client library would make it."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= more.pop("headers", {})
    async with aiohttp.ClientSession() as session:
        async with session.request(verb, slack.api + method, headers=headers, **more) as answer:
            body = await answer.text()
            return answer.status, answer.headers, json.loads(body) if body.startswith("{") else body


def rules(slack):
    return [one["rule"] for one in slack.violations()]


async def test_who_the_bot_is(slack, web):
    answer = await web.auth_test()
    assert (answer["user_id"], answer["bot_id"], answer["team_id"]) == ("U0DECK", "B0001", "T0001")
    assert "chat:write" in answer.headers["x-oauth-scopes"]
    assert slack.violations() == []


async def test_a_wrong_token_is_nobodys_mistake_no_token_is(slack):
    assert (await raw(slack, "auth.test", token="xoxb-other"))[2]["error"] == "invalid_auth"
    assert rules(slack) == []
    assert (await raw(slack, "auth.test", token=""))[2]["error"] == "not_authed"
    assert "not_authed" in rules(slack)[0]


async def test_each_method_takes_its_own_kind_of_token(slack, refused):
    app = AsyncWebClient(token=state.APP_TOKEN, base_url=slack.api)
    assert (await app.apps_connections_open(app_token=state.APP_TOKEN))["url"].startswith("ws://127.0.0.1:")
    await refused(app.chat_postMessage(channel="C0OPS", text="x"), "not_allowed_token_type", "takes the bot token")
    await refused(app.apps_connections_open(app_token=state.BOT_TOKEN), "not_allowed_token_type", "takes the app token")


async def test_a_token_may_be_in_a_form_but_not_in_the_url(slack):
    assert (await raw(slack, "auth.test", token="", data={"token": state.BOT_TOKEN}))[2]["ok"]
    assert rules(slack) == []
    answer = await raw(slack, "apps.connections.open", token="", data={"token": state.APP_TOKEN})
    assert answer[2]["error"] == "invalid_auth"
    assert "header only" in rules(slack).pop()
    slack.workspace.violations.clear()
    answer = await raw(slack, "auth.test", token="", params={"token": state.BOT_TOKEN})
    assert answer[2]["error"] == "invalid_auth"
    assert "query" in rules(slack)[0]


async def test_a_scope_never_asked_for_is_a_mistake_a_withheld_one_is_not(slack, web, refused):
    slack.install(["chat:write"])
    answer = await refused(web.users_info(user="U0ADA"), "missing_scope", "installed scopes")
    assert (answer["needed"], answer["provided"]) == ("users:read", "chat:write")
    slack.withhold("chat:write")
    await refused(web.chat_postMessage(channel="C0OPS", text="x"), "missing_scope")


async def test_form_json_and_get(slack):
    for more in ({"data": {"channel": "C0OPS", "text": "x"}}, {"json": {"channel": "C0OPS", "text": "x"}}):
        assert (await raw(slack, "chat.postMessage", **more))[2]["ok"]
    assert (await raw(slack, "users.info", verb="GET", params={"user": "U0ADA"}))[2]["ok"]
    assert (await raw(slack, "users.info", data={"user": "U0ADA"}))[2]["ok"]
    assert rules(slack) == []


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"verb": "GET", "params": {"channel": "C0OPS", "text": "x"}}, "insecure_request"),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, "invalid_json"),
        ({"data": b"[]", "headers": {"Content-Type": "application/json"}}, "json_not_object"),
        ({"data": b"x", "headers": {"Content-Type": "text/plain"}}, "invalid_post_type"),
        ({"json": {"text": "x"}}, "invalid_arguments"),
    ],
    ids=["get", "broken json", "a list", "plain text", "no channel"],
)
async def test_malformed_calls_are_the_products_mistake(slack, call, error):
    assert (await raw(slack, "chat.postMessage", **call))[2]["error"] == error
    assert len(rules(slack)) == 1


async def test_reading_methods_take_no_json(slack):
    assert (await raw(slack, "users.info", json={"user": "U0ADA"}))[2]["error"] == "invalid_arguments"
    assert "reads no JSON" in rules(slack)[0]


async def test_json_without_a_charset_is_warned_of(slack):
    answer = await raw(
        slack,
        "chat.postMessage",
        data=b'{"channel": "C0OPS", "text": "x"}',
        headers={"Content-Type": "application/json"},
    )
    assert answer[2]["warning"] == "missing_charset"
    assert rules(slack) == []


async def test_an_unknown_method(slack, web, refused):
    await refused(web.api_call("chat.shout"), "unknown_method", "knows")


async def test_api_test_gives_back_what_it_was_given(slack, web, refused):
    assert (await web.api_test(foo="bar"))["args"] == {"foo": "bar"}
    with pytest.raises(SlackApiError, match="oops"):
        await web.api_test(error="oops")


async def test_a_burst_in_one_channel_is_throttled_and_patience_helps(slack, web):
    now = time.time()
    slack.workspace._clock = lambda: now
    for _ in range(slack.workspace.settings.post_burst):
        await web.chat_postMessage(channel="C0OPS", text="x")
    status, headers, body = await raw(slack, "chat.postMessage", data={"channel": "C0OPS", "text": "x"})
    assert (status, headers["Retry-After"], body["error"]) == (429, "1", "ratelimited")
    await web.chat_postMessage(channel="C0SEC", text="another channel")
    slack.advance(1)
    await web.chat_postMessage(channel="C0OPS", text="x")
    assert slack.violations() == []
    assert [one["status"] for one in slack.calls("chat.postMessage")][-3:] == [429, 200, 200]


async def test_not_waiting_for_retry_after_is_a_mistake(slack):
    now = time.time()
    slack.workspace._clock = lambda: now
    slack.fault("users.info", "429", retry_after=5)
    status, headers, _ = await raw(slack, "users.info", data={"user": "U0ADA"})
    assert (status, headers["Retry-After"]) == (429, "5")
    slack.advance(4)
    await raw(slack, "users.info", data={"user": "U0ADA"})
    assert "wait for Retry-After" in rules(slack)[0]
    slack.advance(1)
    await raw(slack, "users.info", data={"user": "U0ADA"})
    assert len(rules(slack)) == 1


async def test_tiers_are_per_method_and_may_be_set(slack):
    now = time.time()
    slack.workspace._clock = lambda: now
    slack.configure(tiers={"users.info": 2})
    answers = [(await raw(slack, "users.info", data={"user": "U0ADA"}))[0] for _ in range(3)]
    assert answers == [200, 200, 429]
    slack.advance(30)
    assert (await raw(slack, "users.info", data={"user": "U0ADA"}))[0] == 200


async def test_faults_come_as_often_as_asked_and_then_go(slack, web):
    slack.fault("users.info", "500", count=2)
    slack.fault("users.info", "fatal_error")
    assert [(await raw(slack, "users.info", data={"user": "U0ADA"}))[0] for _ in range(2)] == [500, 500]
    with pytest.raises(SlackApiError, match="fatal_error"):
        await web.users_info(user="U0ADA")
    assert (await web.users_info(user="U0ADA"))["ok"]
    assert slack.violations() == []


async def test_a_lost_answer_may_have_had_its_effect(slack):
    slack.fault("chat.postMessage", "reset", applied=True)
    with pytest.raises(aiohttp.ClientError):
        await raw(slack, "chat.postMessage", data={"channel": "C0OPS", "text": "here all the same"})
    assert "here all the same" in slack.text("ada", "ops")
    slack.fault("chat.postMessage", "timeout", seconds=5)
    with pytest.raises(TimeoutError):
        call = {"channel": "C0OPS", "text": "never"}
        await raw(slack, "chat.postMessage", data=call, timeout=aiohttp.ClientTimeout(total=0.05))
    assert "never" not in slack.text("ada", "ops")


async def test_a_fault_may_be_meant_for_one_channel(slack, web):
    slack.fault("chat.postMessage", "internal_error", channel="secret")
    await web.chat_postMessage(channel="C0OPS", text="x")
    with pytest.raises(SlackApiError, match="internal_error"):
        await web.chat_postMessage(channel="C0SEC", text="x")


async def test_revoked_tokens_stop_working(slack, web, refused):
    slack.revoke()
    await refused(web.auth_test(), "invalid_auth")


async def test_the_history_of_a_channel_has_the_metadata_of_its_messages_and_none_of_its_threads(slack, web):
    slack.workspace.scopes.add("channels:history")
    marked = {"event_type": "mark", "event_payload": {"post": "t1"}}
    first = (await web.chat_postMessage(channel="C0OPS", text="one", metadata=marked))["ts"]
    second = (await web.chat_postMessage(channel="C0OPS", text="two"))["ts"]
    reply = (await web.chat_postMessage(channel="C0OPS", text="in the thread", thread_ts=first, metadata=marked))["ts"]
    await web.chat_postEphemeral(channel="C0OPS", user="U0ADA", text="psst")
    found = await web.conversations_history(channel="C0OPS", include_all_metadata=True)
    assert [each["ts"] for each in found["messages"]] == [second, first]
    assert found["messages"][1]["metadata"] == marked
    bare = await web.conversations_history(channel="C0OPS")
    assert all("metadata" not in each for each in bare["messages"])
    assert [each["ts"] for each in (await web.conversations_history(channel="C0OPS", oldest=first))["messages"]] == [
        second
    ]
    thread = await web.conversations_replies(channel="C0OPS", ts=first, include_all_metadata=True)
    assert [each["ts"] for each in thread["messages"]] == [first, reply]
    page = await web.conversations_history(channel="C0OPS", limit=1)
    assert page["has_more"] and page["response_metadata"]["next_cursor"]
    rest = await web.conversations_history(channel="C0OPS", limit=1, cursor=page["response_metadata"]["next_cursor"])
    assert [each["ts"] for each in rest["messages"]] == [first]


async def test_the_history_needs_its_scope_and_the_bot_in_the_channel(slack, web, refused):
    await refused(web.conversations_history(channel="C0OPS"), "missing_scope", "only what the installed scopes allow")
    slack.workspace.scopes |= {"channels:history", "groups:history"}
    await refused(web.conversations_history(channel="C0DEV"), "not_in_channel")
    await refused(web.conversations_history(channel="C0HID"), "channel_not_found")
    await refused(web.conversations_replies(channel="C0OPS", ts="1.1"), "thread_not_found", "ts names a message")
