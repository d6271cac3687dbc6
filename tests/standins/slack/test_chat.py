"""chat.*: where the bot may speak, what it may change, threads and ephemerals."""

from __future__ import annotations

import pytest

from tests.standins.slack.records import Impossible

DIVIDER = {"type": "divider"}


async def test_a_message_is_posted_edited_in_place_and_deleted(slack, web):
    ts = (await web.chat_postMessage(channel="C0OPS", text="working"))["ts"]
    await web.chat_update(channel="C0OPS", ts=ts, text="done")
    (shown,) = slack.screen("ada", "ops")
    assert (shown["text"], shown["edits"], shown["before"]) == ("done", 1, ["working"])
    await web.chat_delete(channel="C0OPS", ts=ts)
    assert slack.screen("ada", "ops") == []
    assert slack.violations() == []


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("C0DEV", "not_in_channel"),
        ("C0HID", "channel_not_found"),
        ("C0OLD", "is_archived"),
        ("C0NIL", "channel_not_found"),
    ],
)
async def test_where_the_bot_cannot_speak_is_the_worlds_doing(slack, web, refused, channel, error):
    await refused(web.chat_postMessage(channel=channel, text="x"), error)


async def test_public_channels_with_the_scope_for_it(slack, web):
    slack.workspace.scopes.add("chat:write.public")
    assert (await web.chat_postMessage(channel="C0DEV", text="x"))["ok"]


async def test_a_persons_id_is_their_dm(slack, web, refused):
    assert (await web.chat_postMessage(channel="U0BOB", text="psst"))["channel"] == "D0BOB"
    assert "psst" in slack.text("bob", "dm:bob")
    with pytest.raises(Impossible):
        slack.screen("ada", "dm:bob")
    ts = slack.screen("bob", "dm:bob")[0]["ts"]
    await refused(web.chat_update(channel="U0BOB", ts=ts, text="x"), "channel_not_found", "channel id")


async def test_a_message_says_something_and_not_too_much(slack, web, refused):
    await web.chat_postMessage(channel="C0OPS", text="x" * 40_000)
    await refused(web.chat_postMessage(channel="C0OPS", text="x" * 40_001), "msg_too_long", "40000")
    for call in ({"channel": "C0OPS", "text": " "}, {"channel": "C0OPS", "text": "", "blocks": []}):
        await refused(web.api_call("chat.postMessage", json=call), "no_text", "says something")


async def test_an_update_says_less(slack, web, refused):
    ts = (await web.chat_postMessage(channel="C0OPS", text="x"))["ts"]
    await web.chat_update(channel="C0OPS", ts=ts, text="x" * 4_000)
    await refused(web.chat_update(channel="C0OPS", ts=ts, text="x" * 4_001), "msg_too_long", "4000")
    await web.chat_update(channel="C0OPS", ts=ts, text="日" * 1_333)
    await refused(web.chat_update(channel="C0OPS", ts=ts, text="日" * 1_334), "msg_too_long", "4000")


async def test_an_update_has_new_block_ids(slack, web):
    ts = (await web.chat_postMessage(channel="C0OPS", text="x", blocks=[DIVIDER | {"block_id": "a"}]))["ts"]
    await web.chat_update(channel="C0OPS", ts=ts, text="x", blocks=[DIVIDER | {"block_id": "b"}])
    assert slack.violations() == []
    await web.chat_update(channel="C0OPS", ts=ts, text="x", blocks=[DIVIDER | {"block_id": "b"}])
    assert "new block_id" in slack.violations()[0]["rule"]


async def test_only_its_own_lasting_messages_can_be_changed(slack, web, refused):
    theirs = (await slack.say("ada", "ops", "mine"))["ts"]
    await refused(web.chat_update(channel="C0OPS", ts=theirs, text="x"), "cant_update_message", "own messages")
    await refused(web.chat_delete(channel="C0OPS", ts=theirs), "cant_delete_message", "own messages")
    fleeting = (await web.chat_postEphemeral(channel="C0OPS", user="U0ADA", text="x"))["message_ts"]
    await refused(web.chat_update(channel="C0OPS", ts=fleeting, text="y"), "message_not_found", "ephemeral")


async def test_a_message_somebody_deleted_is_not_found(slack, web, refused):
    ts = (await web.chat_postMessage(channel="C0OPS", text="x"))["ts"]
    slack.delete(ts)
    await refused(web.chat_update(channel="C0OPS", ts=ts, text="y"), "message_not_found")


async def test_an_update_of_blocks_speaks_of_blocks(slack, web):
    ts = (await web.chat_postMessage(channel="C0OPS", text="x", blocks=[DIVIDER]))["ts"]
    await web.chat_update(channel="C0OPS", ts=ts, text="y", blocks=[])
    assert slack.screen("ada", "ops")[0]["text"] == "y"
    assert slack.violations() == []
    ts = (await web.chat_postMessage(channel="C0OPS", text="x", blocks=[DIVIDER]))["ts"]
    await web.chat_update(channel="C0OPS", ts=ts, text="y")
    assert "says `blocks`" in slack.violations()[0]["rule"]


async def test_ephemerals_are_for_one_person_in_the_channel(slack, web, refused):
    await web.chat_postEphemeral(channel="C0OPS", user="U0ADA", text="only you")
    assert slack.screen("ada", "ops")[0]["ephemeral"]
    assert slack.screen("bob", "ops") == []
    await refused(web.chat_postEphemeral(channel="C0OPS", user="U0STAN", text="x"), "user_not_in_channel")
    await refused(web.chat_postEphemeral(channel="C0DEV", user="U0ADA", text="x"), "not_in_channel")


async def test_replies_name_the_parent(slack, web, refused):
    parent = (await slack.say("ada", "ops", "hello"))["ts"]
    reply = (await web.chat_postMessage(channel="C0OPS", text="in thread", thread_ts=parent))["ts"]
    assert [one["text"] for one in slack.screen("ada", "ops", parent)] == ["hello", "in thread"]
    assert slack.violations() == []
    await web.chat_postMessage(channel="C0OPS", text="askew", thread_ts=reply)
    assert "parent's" in slack.violations()[0]["rule"]
    await refused(web.chat_postMessage(channel="C0OPS", text="x", thread_ts="1.2"), "thread_not_found", "that channel")


async def test_people_speak_only_where_they_are(slack):
    with pytest.raises(Impossible):
        await slack.say("stan", "ops", "x")
    with pytest.raises(Impossible):
        await slack.say("ada", "old", "x")
    with pytest.raises(Impossible):
        await slack.say("nobody", "ops", "x")
